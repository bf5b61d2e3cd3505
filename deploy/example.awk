# The configuration file that is installed, out of what each program says with --print-example: every option once,
# those of the same programs together. The files are named after the programs; that two say the same of an option
# is held here.
BEGIN {
    RS = ""
    FS = "\n"
    print "# Shoal's configuration: one file for all programs of this machine, in lines `name = value`."
    print "# Every option is here, with its default, commented out; a name without a value has none."
    print "# SHOAL_NAME in the environment wins over this file, --name on the command line over both."
    print "# The daemons read it again on SIGHUP (systemctl reload). TIME is 500ms, 10s, 5m or 1h; BYTES"
    print "# may end in k, m or g. Secrets belong into files of their own: see redis_url_file."
}
{
    key = $NF
    program = FILENAME
    sub(/.*\//, "", program)
    if (key in texts && texts[key] != $0) {
        print "example.awk: " program " says other things of " key " than" programs[key] >"/dev/stderr"
        exit failed = 1
    }
    if (!(key in texts)) {
        keys[++n] = key
        texts[key] = $0
    }
    programs[key] = programs[key] " " program
}
END {
    if (failed) {
        exit 1
    }
    for (i = 1; i <= n; i++) {
        group = programs[keys[i]]
        if (!(group in members)) {
            groups[++ngroups] = group
        }
        members[group] = members[group] "\n" texts[keys[i]] "\n"
    }
    for (i = 1; i <= ngroups; i++) {
        heading = groups[i]
        gsub(/ /, ", ", heading)
        print "\n\n## " substr(heading, 3)
        printf "%s", members[groups[i]]
    }
}
