# The table of `make test-faults`: figures that stories told (row, database, first seed, runs, figure), then what failed, then how
# many stories passed.

BEGIN {
    FS = "\t"
    printf "%-16s %-26s %5s %5s  %s\n", "row", "database", "seed", "runs", "result"
}

FILENAME ~ /\.tsv$/ {
    lines[++count] = sprintf("%-16s %-26s %5s %5s  %s", $1, $2, $3, $4, $5)
    next
}

/ \.\.\. ok$/ { passed++ }
/^test .* \.\.\. FAILED$/ { failed[$0] = 1 }

END {
    # Insertion sort by row: there are some dozens.
    for (i = 2; i <= count; i++) {
        line = lines[i]
        for (j = i - 1; j >= 1 && lines[j] > line; j--) lines[j + 1] = lines[j]
        lines[j + 1] = line
    }
    for (i = 1; i <= count; i++) print lines[i]
    for (story in failed) { split(story, words, " "); printf "%-16s %s\n", "FAILED", words[2]; broken++ }
    printf "stories %d ok, %d broken (docs/faults.md names them, target/faults.log has their words)\n", passed, broken
}
