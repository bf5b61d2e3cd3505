# Turns the table SETTINGS of the Lua library in IN (a directory) into the C table cluster_setting_rules, in OUT: a setting is
# written down once. A line of another form ends the build.
file(GLOB files ${IN}/*.lua)
list(SORT files)
set(lua "")
foreach(file ${files})
    file(READ ${file} part)
    string(APPEND lua "${part}")
endforeach()

# The value of a number, or of a constant (`local NAME = 123`), in Lua.
function(number text out)
    if(NOT text MATCHES "^[0-9]+$")
        if(NOT lua MATCHES "local ${text} = ([0-9]+)[^0-9.*]")
            message(FATAL_ERROR "settings: ${text} is no number, and no constant of one")
        endif()
        set(text ${CMAKE_MATCH_1})
    endif()
    set(${out} ${text} PARENT_SCOPE)
endfunction()

if(NOT lua MATCHES "\nlocal SETTINGS = {\n([^}]*},\n(    [^}\n]*},\n)*)}\n")
    message(FATAL_ERROR "settings: no table SETTINGS whose entries have a line each")
endif()
string(REGEX REPLACE "\n$" "" table "${CMAKE_MATCH_1}")
string(REPLACE "\n" ";" table "${table}")
set(rows "")
foreach(line ${table})
    if(line MATCHES "^    ([a-z_]+) = {default = '[^']*', login = true},$")
        string(APPEND rows "    {\"${CMAKE_MATCH_1}\", 0, 0, NULL},\n")
    elseif(line MATCHES "^    ([a-z_]+) = {default = '[^']*', min = ([0-9A-Z_]+), max = ([0-9A-Z_]+)(, off = '([a-z]+)')?},$")
        set(name ${CMAKE_MATCH_1})
        set(most ${CMAKE_MATCH_3})
        set(off NULL)
        if(NOT "${CMAKE_MATCH_5}" STREQUAL "")
            set(off "\"${CMAKE_MATCH_5}\"")
        endif()
        number(${CMAKE_MATCH_2} least)
        number(${most} most)
        string(APPEND rows "    {\"${name}\", ${least}, ${most}, ${off}},\n")
    else()
        message(FATAL_ERROR "settings: this is not understood: ${line}")
    endif()
endforeach()
file(WRITE ${OUT}
"#include \"coordinator/options/cluster_settings.h\"

const struct cluster_setting_rule cluster_setting_rules[] = {
${rows}    {0},
};
")
