import FileAccess
import Foundation
import Glibc
import Identifiers
import Safetensors
import SystemPackage

/// One job's hold on an output directory, from admission to publication: the file `.kfacd-claim` in it.
///
/// The file is locked as long as the owner's process lives. So only one process has it, on one machine or on several
/// that share the file system. Its contents outlive the process: the same job of the same coordinator takes it up again
/// after a restart, and others learn whom they wait for. A claim is taken over when it is proved that its owner is
/// gone: the lock is free and reaches every machine, and the owner will not come back for its job.
/// Where a file system has no locks, the record alone decides, and only a process of this machine can be proved gone.
final class OutputClaim: Sendable {
    static let fileName = ".kfacd-claim"

    /// What stands in it.
    let record: ClaimRecord
    private let descriptor: FileDescriptor
    private let file: FilePath

    private init(record: ClaimRecord, descriptor: FileDescriptor, file: FilePath) {
        self.record = record
        self.descriptor = descriptor
        self.file = file
    }

    /// Lets go of the lock; what stands in the file says that the job goes on.
    deinit { try? descriptor.close() }

    /// Takes a directory, if nobody else has it.
    ///
    /// - Parameters:
    ///   - directory: It must exist.
    ///   - wanted: Who takes it.
    /// - Returns: The claim; it is held until it is released, or nobody refers to it any more.
    /// - Throws: ``PublicationError/held(path:holder:)`` with the name of who has it, or what keeps the file from
    ///   being written; the directory is as it was then.
    static func take(_ directory: FilePath, for wanted: ClaimRecord) throws(PublicationError) -> OutputClaim {
        let file = directory.appending(fileName)
        // Bound: each turn somebody else has let go.
        for _ in 0..<100 {
            let (descriptor, isNew) = try open(file)
            do throws(PublicationError) {
                let hold = try lock(descriptor, file)
                guard hold != .other else { throw held(directory, try? read(file), runs: true) }
                // Whoever had it may have removed it before it was locked here.
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
                // Who waits for its lock finds out that it has no name any more.
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

    /// Who holds a directory at the moment, if somebody does.
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
            // Write access, since NFS has no exclusive lock without.
            return (
                try FileDescriptor.open(
                    file, .readWrite, options: [.create, .exclusiveCreate, .closeOnExec, .noFollow],
                    permissions: [.ownerReadWrite, .groupRead, .otherRead]), true
            )
        } catch Errno.fileExists {
        } catch {
            throw .callFailed(path: file, call: "open", code: error as? Errno ?? .ioError)
        }
        do {
            return (try FileDescriptor.open(file, .readWrite, options: [.closeOnExec, .noFollow]), false)
        } catch {
            let code = error as? Errno ?? .ioError
            // Another user's: who it is stands in it.
            if code == .permissionDenied, let found = try? read(file) {
                throw held(file.removingLastComponent(), found, runs: true)
            }
            throw .callFailed(path: file, call: "open", code: code)
        }
    }

    private static func lock(_ descriptor: FileDescriptor, _ file: FilePath) throws(PublicationError) -> Hold {
        while flock(descriptor.rawValue, LOCK_EX | LOCK_NB) != 0 {
            let code = Errno(rawValue: errno)
            switch code {
            case .interrupted: continue
            case .wouldBlock: return .other
            case .noLocks, .notSupported, .noFunction, .invalidArgument: return .unknown
            default: throw .callFailed(path: file, call: "flock", code: code)
            }
        }
        return .own
    }

    private static func isStillNamed(_ descriptor: FileDescriptor, _ file: FilePath) -> Bool {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0, let named = FileStatus(of: file) else { return false }
        return named.number == UInt64(status.st_ino) && named.device == UInt64(status.st_dev)
    }

    /// What stands in a claim; `nil` when nothing does, since its owner ended in the middle of writing.
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
        // Another job of the same coordinator that nobody holds: it was never taken in, or its end was lost.
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
            throw .callFailed(path: file, call: "write", code: error as? Errno ?? .ioError)
        }
    }
}
