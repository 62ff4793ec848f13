# Fails where the GPU's machine code fuses a multiplication with an addition in double precision: that rounds once where
# the definition rounds twice. Called with -DCUOBJDUMP=... -DBINARY=...
execute_process(
  COMMAND "${CUOBJDUMP}" -sass "${BINARY}"
  OUTPUT_VARIABLE code ERROR_VARIABLE complaint RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "cuobjdump failed: ${complaint}")
endif()
foreach(instruction DMUL DADD)
  if(NOT code MATCHES "${instruction}")
    message(FATAL_ERROR "no ${instruction} in ${BINARY}: this test looks at the wrong code")
  endif()
endforeach()
if(code MATCHES "[^\n]*DFMA[^\n]*")
  message(FATAL_ERROR "a fused multiply-add in double precision: ${CMAKE_MATCH_0}")
endif()
