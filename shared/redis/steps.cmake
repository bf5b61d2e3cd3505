# What is written down in the Lua library of steps, IN (a directory), for C, in OUT: where that is a header, the constants
# below, the names of states and the defaults of settings; else the table SETTINGS as the C table cluster_setting_rules.
# What is not there, or of another form, ends the build.
set(constants REVISION MAX_ID MAX_CHANNELS SENDS_PER_LIST SENDERS_AT_ONCE SILENT_MS
    ACTIVE_PER_REPORT DRAWS_AT_ONCE READERS_MOST VERIFIED_LOGINS VERIFIED_JOINS VERIFIED_MESSAGES)
set(names CHANNEL_STATES SHARD_STATES)
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
set(defines "")
foreach(line ${table})
    if(line MATCHES "^    ([a-z_]+) = {default = '[^']*', login = true},$")
        string(APPEND rows "    {\"${CMAKE_MATCH_1}\", 0, 0, NULL, 1},\n")
    elseif(line MATCHES "^    ([a-z_]+) = {default = '[^']*', logins = ([0-9A-Z_]+)},$")
        set(name ${CMAKE_MATCH_1})
        number(${CMAKE_MATCH_2} most)
        string(APPEND rows "    {\"${name}\", 0, 0, NULL, ${most}},\n")
    elseif(line MATCHES "^    ([a-z_]+) = {default = '([0-9]+)', min = ([0-9A-Z_]+), max = ([0-9A-Z_]+)(, off = '([a-z]+)')?(, node = true)?},$")
        set(name ${CMAKE_MATCH_1})
        set(most ${CMAKE_MATCH_4})
        set(off NULL)
        if(NOT "x${CMAKE_MATCH_6}" STREQUAL "x") # "off" alone would be taken for a variable
            set(off "\"${CMAKE_MATCH_6}\"")
        endif()
        string(TOUPPER ${name} upper)
        string(APPEND defines "#define SETTING_${upper} ${CMAKE_MATCH_2}\n")
        number(${CMAKE_MATCH_3} least)
        number(${most} most)
        string(APPEND rows "    {\"${name}\", ${least}, ${most}, ${off}, 0},\n")
    else()
        message(FATAL_ERROR "settings: this is not understood: ${line}")
    endif()
endforeach()

if(OUT MATCHES "\\.h$")
    foreach(name ${constants})
        number(${name} value)
        string(APPEND defines "#define REGISTRY_${name} ${value}\n")
    endforeach()
    foreach(name ${names})
        if(NOT lua MATCHES "local ${name} = {([^}]*)}")
            message(FATAL_ERROR "steps: there is no table ${name}")
        endif()
        string(REGEX MATCHALL "[a-z]+ = true" words "${CMAKE_MATCH_1}")
        string(REGEX REPLACE "([a-z]+) = true" "\"\\1\"" words "${words}")
        string(REPLACE ";" ", " words "${words}")
        string(APPEND defines "#define REGISTRY_${name} ${words}\n")
    endforeach()
    file(WRITE ${OUT}
"/* Made of steps/ *.lua by steps.cmake: what the steps and C have to agree on. SETTING_X is the default of a setting. */
#ifndef SHOAL_REDIS_REGISTRY_LIMITS_H
#define SHOAL_REDIS_REGISTRY_LIMITS_H

${defines}
#endif
")
    return()
endif()
file(WRITE ${OUT}
"#include \"coordinator/options/cluster_settings.h\"

const struct cluster_setting_rule cluster_setting_rules[] = {
${rows}    {0},
};
")
