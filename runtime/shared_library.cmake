# Opening libraries at run time: linked by every part that has one to look for.
add_library(lacuna_shared_library STATIC ${CMAKE_CURRENT_LIST_DIR}/shared_library.cpp)
target_link_libraries(lacuna_shared_library PUBLIC fmt::fmt ${CMAKE_DL_LIBS})
