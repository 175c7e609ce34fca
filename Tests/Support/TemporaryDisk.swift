import Foundation

/// A file system of a few bytes, for tests of a full disk.
public struct TemporaryDisk {
    /// Its directory.
    public let directory: TemporaryDirectory

    /// Whether file systems can be mounted, which needs rights that a build machine may not give.
    public static let isPossible: Bool = {
        guard let disk = try? TemporaryDisk(size: "64k") else { return false }
        disk.unmount()
        return true
    }()
    /// Why a test is left out where they cannot.
    public static let reason = "mounting a tmpfs needs root"

    /// Mounts a file system.
    ///
    /// - Parameter size: Its size, as mount takes it: `8m`.
    /// - Throws: An error when it cannot be mounted.
    public init(size: String) throws {
        directory = try TemporaryDirectory()
        guard Self.run("mount", "-t", "tmpfs", "-o", "size=\(size)", "kfacd-test", directory.path) else {
            throw CocoaError(.fileWriteNoPermission)
        }
    }

    /// Unmounts the file system, also while files of it are open.
    public func unmount() { _ = Self.run("umount", "--lazy", directory.path) }

    private static func run(_ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Repeats a write until it succeeds, because the room of a removed file can come back late.
    ///
    /// A program that another test starts has all open files of this process until it runs. As long as it has a file,
    /// the file takes room, although it is removed.
    ///
    /// - Parameter write: The write.
    /// - Returns: Its result.
    /// - Throws: The error of the last attempt, after half a minute.
    public static func whenRoomIsBack<Value>(_ write: () throws -> Value) throws -> Value {
        let end = ContinuousClock.now + .seconds(30)
        while true {
            do { return try write() } catch  where ContinuousClock.now < end { usleep(5000) }
        }
    }
}
