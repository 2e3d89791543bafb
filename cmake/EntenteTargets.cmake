# One CMake target per folder. A folder's CMakeLists.txt names what the folder may link, and with
# that whom it may include; tests/lint holds the includes against it.

add_library(entente_flags INTERFACE)
target_include_directories(entente_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(entente_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  $<$<BOOL:${ENTENTE_WERROR}>:-Werror>)

# The sources of the calling folder, without the programs' main files.
function(entente_folder_sources out)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "main\\.cpp$")
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# entente_library(name LINKS targets...): the static library `entente_<name>` of the calling folder.
function(entente_library name)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  entente_folder_sources(sources)
  set(target entente_${name})
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC entente_flags ${ARG_LINKS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE entente_flags ${ARG_LINKS})
  endif()
endfunction()

# entente_failpoints(name): the places of `entente_<name>` where a test may let a program die. In
# builds for people the option is off and the macro of common/runtime/failpoint.h nothing.
function(entente_failpoints name)
  target_compile_definitions(entente_${name} PRIVATE
    $<$<BOOL:${ENTENTE_FAILPOINTS}>:ENTENTE_FAILPOINTS>)
endfunction()

# entente_vectorised(name): `entente_<name>` has loops for Highway. Fused multiply-add rounds once
# instead of twice: with it, the bits would depend on the processor. Instruction sets that bring
# these few loops nothing over their neighbours are left out.
function(entente_vectorised name)
  target_link_libraries(entente_${name} PUBLIC PkgConfig::HWY)
  target_compile_options(entente_${name} PRIVATE -ffp-contract=off)
  target_compile_definitions(entente_${name} PUBLIC
    "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4|HWY_AVX3_DL)")
endfunction()

# entente_program(name SOURCE main.cpp LINKS targets...)
function(entente_program name)
  cmake_parse_arguments(ARG "" "SOURCE" "LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCE})
  target_link_libraries(${name} PRIVATE entente_flags ${ARG_LINKS})
endfunction()
