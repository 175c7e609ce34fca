# shellcheck shell=bash
# What the Debian package and the wheels have in common. A script sets `script` to its own path, and sources this in the
# repository's root.

fail() {
    printf '%s: %s\n' "${script:?}" "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

# need PACKAGES TOOL...: fails if a tool is absent; PACKAGES are the words for apt-get install.
need() {
    local packages=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "there is no $tool." "On Debian: apt-get install $packages"
    done
}

# Equal sources give equal files.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

version=$(sed -nE 's/.*static let version = "([^"]+)".*/\1/p' Sources/Telemetry/Build.swift)
[[ "$version" =~ ^[0-9]+(\.[0-9]+)*$ ]] || fail "Sources/Telemetry/Build.swift has no version such as 1.2.3."

# stripped_programs DIRECTORY [BINARIES]: writes the stripped kfacd and kfacctl into a directory, from a release build
# with Swift's libraries linked statically, or from programs that were built like that.
stripped_programs() {
    local directory=$1 binaries=${2:-} program
    if [[ -z $binaries ]]; then
        # The commit in kfacd_build_info; a tree without git has none.
        KFACD_COMMIT=${KFACD_COMMIT:-$(git describe --always --abbrev=12 --dirty --exclude='*' 2>/dev/null ||
            echo unknown)}
        [[ $KFACD_COMMIT =~ ^[0-9A-Za-z.-]+$ ]] || fail "KFACD_COMMIT is $KFACD_COMMIT, which is not a commit."
        export KFACD_COMMIT
        # A directory of its own: after a build with the other kind of Swift's libraries, linking fails.
        local build=(swift build --configuration release --static-swift-stdlib --disable-local-rpath
            --scratch-path .build/static)
        # Standard output is the caller's, which prints the files that it made.
        for program in kfacd kfacctl; do "${build[@]}" --product "$program" >&2; done
        binaries=$("${build[@]}" --show-bin-path)
    fi
    mkdir -p "$directory"
    for program in kfacd kfacctl; do
        [[ -x $binaries/$program ]] || fail "there is no program $binaries/$program."
        if objdump --private-headers "$binaries/$program" | grep --quiet 'NEEDED.*libswift'; then
            fail "$binaries/$program needs Swift's shared libraries." "Build it with swift build --static-swift-stdlib."
        fi
        strip --strip-all --remove-section=.comment --remove-section=.note -o "$directory/$program" \
            "$binaries/$program"
        [[ $("$directory/$program" --version) == "$version" ]] ||
            fail "$binaries/$program has not the version $version of these sources." "Build it again."
    done
}
