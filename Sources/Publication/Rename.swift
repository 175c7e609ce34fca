import CSystemCalls
import FileAccess
import Glibc
import SystemPackage

/// Renames on one file system that never replace a file that was not checked.
enum Rename {
    /// The way to exchange two names: by the kernel in one step, or in three steps where the file system cannot do
    /// that.
    enum Exchange: Sendable { case atomic, steps }

    /// Gives a file or directory a free name.
    ///
    /// - Throws: ``PublicationError/callFailed(path:call:code:)``; nothing has moved then.
    static func move(_ source: FilePath, to destination: FilePath) throws(PublicationError) {
        if call(source, destination, kfacd_rename_no_replace) == 0 { return }
        let code = Errno(rawValue: errno)
        guard isUnsupported(code) else { throw .file(.callFailed(file: destination, call: "rename", code: code)) }
        guard FileStatus(of: destination) == nil else {
            throw .file(.callFailed(file: destination, call: "rename", code: .fileExists))
        }
        try plain(source, destination)
    }

    /// Exchanges two names.
    ///
    /// Where the file system cannot do it in one step (NFS, FAT), `aside` holds the old file for a moment. After a
    /// crash in that moment, ``settle(_:aside:)`` continues.
    ///
    /// - Throws: ``PublicationError/callFailed(path:call:code:)``; both names are unchanged.
    static func exchange(
        _ new: FilePath, with old: FilePath, aside: FilePath, by way: Exchange = .atomic
    ) throws(PublicationError) {
        if way == .atomic {
            if call(new, old, kfacd_rename_exchange) == 0 { return }
            let code = Errno(rawValue: errno)
            guard isUnsupported(code) else { throw .file(.callFailed(file: old, call: "rename", code: code)) }
        }
        let isFile = FileStatus(of: old)?.kind == .file && FileStatus(of: new)?.kind == .file
        // The name must never be free, so the old file gets a second name before the new file replaces the first.
        let isLinked =
            isFile
            && old.withPlatformString { from in aside.withPlatformString { to in link(from, to) } } == 0
        if !isLinked { try plain(old, aside) }
        do throws(PublicationError) {
            try plain(new, old)
        } catch {
            if isLinked {
                _ = aside.withPlatformString { unlink($0) }
            } else {
                try plain(aside, old)
            }
            throw error
        }
        settle(new, aside: aside)
    }

    /// Moves a file that was set aside to its place, after a crash during an exchange.
    static func settle(_ place: FilePath, aside: FilePath) {
        guard FileStatus(of: aside) != nil, FileStatus(of: place) == nil else { return }
        try? plain(aside, place)
    }

    private static func plain(_ source: FilePath, _ destination: FilePath) throws(PublicationError) {
        let result = source.withPlatformString { from in destination.withPlatformString { to in rename(from, to) } }
        guard result == 0 else {
            throw .file(.callFailed(file: destination, call: "rename", code: Errno(rawValue: errno)))
        }
    }

    private static func call(_ source: FilePath, _ destination: FilePath, _ flags: UInt32) -> Int32 {
        source.withPlatformString { from in destination.withPlatformString { to in kfacd_rename(from, to, flags) } }
    }

    private static func isUnsupported(_ code: Errno) -> Bool {
        [.invalidArgument, .noFunction, .notSupportedOnSocket, .notSupported].contains(code)
    }
}
