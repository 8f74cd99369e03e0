lacuna_layer(artifact SOURCES ${CMAKE_CURRENT_LIST_DIR}/artifact.cpp LINKS lacuna_base fmt::fmt)
