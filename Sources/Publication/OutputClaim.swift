import FileAccess
import Foundation
import Glibc
import Identifiers
import SystemPackage

/// One job's claim on an output directory from admission to publication: the file `.kfacd-claim` in it.
///
/// The file is locked while the owner's process lives, so only one process holds it, on one machine or on several that
/// share the file system. Its content outlives the process: the same job of the same coordinator resumes it after a
/// restart, and other jobs learn whom they wait for. A claim is taken over only when its owner is proved to be gone:
/// the lock is free and reaches every machine, and the owner will not return for its job. On a file system without
/// locks the record alone decides, and only a process of this machine can be proved gone.
final class OutputClaim: Sendable {
    static let fileName = ".kfacd-claim"

    /// The content of the claim.
    let record: ClaimRecord
    private let descriptor: FileDescriptor
    private let file: FilePath

    private init(record: ClaimRecord, descriptor: FileDescriptor, file: FilePath) {
        self.record = record
        self.descriptor = descriptor
        self.file = file
    }

    /// Releases the lock; the file's content says that the job continues.
    deinit { try? descriptor.close() }

    /// Claims a directory, if no other job holds it.
    ///
    /// - Parameters:
    ///   - directory: An existing directory.
    ///   - wanted: The new holder.
    /// - Returns: The claim; it is held until it is released or its last reference goes away.
    /// - Throws: ``PublicationError/held(path:holder:)`` with the present holder, or the error that prevents writing
    ///   the file; the directory is then unchanged.
    static func take(_ directory: FilePath, for wanted: ClaimRecord) throws(PublicationError) -> OutputClaim {
        let file = directory.appending(fileName)
        // Each turn means that another process has released the claim.
        for _ in 0..<100 {
            let (descriptor, isNew) = try open(file)
            do throws(PublicationError) {
                let hold = try lock(descriptor, file)
                guard hold != .other else { throw held(directory, try? read(file), runs: true) }
                // The last holder may have removed the file before it was locked here.
                guard isStillNamed(descriptor, file) else {
                    try? descriptor.close()
                    continue
                }
                var record = wanted
                if !isNew, let found = try read(file) {
                    try requireGone(found, wanted, isLocked: hold == .own, directory)
                    if found.isOf(wanted) { record.made = found.made + wanted.made }
                }
                try write(record, to: descriptor, file)
                return OutputClaim(record: record, descriptor: descriptor, file: file)
            } catch {
                // A process that waits for the lock will notice that the file has no name.
                if isNew { _ = file.withPlatformString { unlink($0) } }
                try? descriptor.close()
                throw error
            }
        }
        throw held(directory, try? read(file), runs: true)
    }

    /// Removes the claim.
    func release() {
        _ = file.withPlatformString { unlink($0) }
    }

    /// The present holder of a directory, if any.
    static func holder(of directory: FilePath) -> ClaimRecord? {
        let file = directory.appending(fileName)
        guard let descriptor = try? FileDescriptor.open(file, .readWrite, options: [.closeOnExec, .noFollow]) else {
            return nil
        }
        defer { try? descriptor.close() }
        guard (try? lock(descriptor, file)) == .other else { return nil }
        return try? read(file)
    }

    // MARK: - Steps

    private enum Hold { case own, other, unknown }

    private static func open(_ file: FilePath) throws(PublicationError) -> (FileDescriptor, isNew: Bool) {
        do {
            // Opened for writing, because NFS requires that for an exclusive lock.
            return (
                try FileDescriptor.open(
                    file, .readWrite, options: [.create, .exclusiveCreate, .closeOnExec, .noFollow],
                    permissions: [.ownerReadWrite, .groupRead, .otherRead]), true
            )
        } catch Errno.fileExists {
        } catch {
            throw .file(.callFailed(file: file, call: "open", code: error as? Errno ?? .ioError))
        }
        do {
            return (try FileDescriptor.open(file, .readWrite, options: [.closeOnExec, .noFollow]), false)
        } catch {
            let code = error as? Errno ?? .ioError
            // The file belongs to another user; its content says to whom.
            if code == .permissionDenied, let found = try? read(file) {
                throw held(file.removingLastComponent(), found, runs: true)
            }
            throw .file(.callFailed(file: file, call: "open", code: code))
        }
    }

    private static func lock(_ descriptor: FileDescriptor, _ file: FilePath) throws(PublicationError) -> Hold {
        while flock(descriptor.rawValue, LOCK_EX | LOCK_NB) != 0 {
            let code = Errno(rawValue: errno)
            switch code {
            case .interrupted: continue
            case .wouldBlock: return .other
            case .noLocks, .notSupported, .noFunction, .invalidArgument: return .unknown
            default: throw .file(.callFailed(file: file, call: "flock", code: code))
            }
        }
        return .own
    }

    private static func isStillNamed(_ descriptor: FileDescriptor, _ file: FilePath) -> Bool {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0, let named = FileStatus(of: file) else { return false }
        return named.number == UInt64(status.st_ino) && named.device == UInt64(status.st_dev)
    }

    /// The content of a claim; `nil` when the file is empty because its owner ended while writing.
    private static func read(_ file: FilePath) throws(PublicationError) -> ClaimRecord? {
        do throws(PublicationError) {
            return ClaimRecord(
                try VersionedFile.read(file, format: .claim, byteLimit: ClaimRecord.byteLimit))
        } catch {
            guard case .malformed = error else { throw error }
            return nil
        }
    }

    private static func requireGone(
        _ found: ClaimRecord, _ wanted: ClaimRecord, isLocked: Bool, _ directory: FilePath
    ) throws(PublicationError) {
        // An unheld claim of another job of the same coordinator: the job was never accepted, or its end was lost.
        if found.isOf(wanted) || (isLocked && found.owner.coordinator == wanted.owner.coordinator) { return }
        let isGone =
            isLocked
            ? found.isOfThisKernel || LockReach.isComplete(at: directory)
            : found.isOfThisKernel && !found.processRuns
        guard isGone else { throw held(directory, found, runs: nil) }
        if found.isAwaited(identityAt: CoordinatorIdentity.read) { throw held(directory, found, runs: false) }
    }

    private static func held(_ directory: FilePath, _ found: ClaimRecord?, runs: Bool?) -> PublicationError {
        let file = directory.appending(fileName)
        guard let found else {
            return .held(path: directory, holder: "another job, which is about to take it. Choose another, or wait.")
        }
        let rest =
            switch runs {
            case true?: ", which is running. Choose another, or wait."
            case false?:
                ", which does not run at the moment and will go on with the job. Choose another, start that "
                    + "coordinator and wait or cancel the job; if it will never be started again, remove \(file)."
            case nil:
                ". Whether it still runs cannot be told on this file system. Choose another; if it does not run any "
                    + "more, remove \(file)."
            }
        return .held(path: directory, holder: found.holder + rest)
    }

    private static func write(
        _ record: ClaimRecord, to descriptor: FileDescriptor, _ file: FilePath
    ) throws(PublicationError) {
        do {
            let bytes = Array(record.text.utf8)
            try descriptor.resize(to: 0)
            try descriptor.writeAll(toAbsoluteOffset: 0, bytes)
            try descriptor.synchronize()
        } catch {
            throw .file(.callFailed(file: file, call: "write", code: error as? Errno ?? .ioError))
        }
    }
}
