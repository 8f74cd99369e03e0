lacuna_test(artifact SOURCES ${CMAKE_CURRENT_LIST_DIR}/artifact.test.cpp LINKS lacuna_artifact)
