# The templates that a source needs: what both compilers are given beside it.
add_library(lacuna_source STATIC ${CMAKE_CURRENT_LIST_DIR}/templates.cpp)
target_link_libraries(lacuna_source PUBLIC lacuna_templates fmt::fmt)
