import FileAccess
import Identifiers
import LinearAlgebra
import Synchronization
import SystemPackage
import WireProtocol

/// The staged files of jobs that this machine sees, and into which it may write.
///
/// A path may lead to another object on another machine. So a file must have the size and the header that the
/// coordinator states. Source: DESIGN section 5.
final class StagedFiles: Sendable {
    /// The most files whose headers are remembered.
    private static let countMax = 8192

    private struct Object: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private let proven = Mutex<[Object: LeasedFile]>([:])
    private let roots: FileRoots

    init(roots: FileRoots) {
        self.roots = roots
    }

    /// An open staged file.
    struct Opened: ~Copyable {
        let file: OpenedFile<FileError>
        /// Whether it is the coordinator's own file on the coordinator's kernel.
        let sharesKernel: Bool
    }

    /// Opens the file of a place; `nil` when this machine has no such file.
    ///
    /// - Parameters:
    ///   - place: The place.
    ///   - kernel: The boot identity of the coordinator's kernel.
    func open(_ place: OutputPlace, kernel: String) -> Opened? {
        let path = FilePath(place.file.path)
        guard Self.isStaged(path), let file = try? OpenedFile<FileError>(changing: path, within: roots),
            let status = try? file.status(), UInt64(status.byteCount) == place.file.byteCount
        else { return nil }
        let object = Object(device: status.device, inode: status.inode)
        if proven.withLock({ $0[object] }) != place.file {
            guard Self.headerDigest(of: file) == place.file.headerDigest else { return nil }
            proven.withLock { proven in
                if proven.count >= Self.countMax { proven = [:] }
                proven[object] = place.file
            }
        }
        let sharesKernel = !kernel.isEmpty && kernel == KernelBoot.identity && status.device == place.device
            && status.inode == place.number
        return Opened(file: file, sharesKernel: sharesKernel)
    }

    /// Whether a path is that of a staged file, so that no lease can name another file.
    private static func isStaged(_ path: FilePath) -> Bool {
        guard let name = path.lastComponent?.string, name.hasPrefix("."), name.hasSuffix(stagedFileSuffix) else {
            return false
        }
        return path.isAbsolute && path.components.contains { $0.string.hasPrefix(".kfacd-") }
            && path.components.allSatisfy { $0.kind == .regular }
    }

    private static func headerDigest(of file: borrowing OpenedFile<FileError>) -> BlobDigest? {
        guard let length = try? file.bytes(at: 0, count: 8), length.count == 8 else { return nil }
        let count = length.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // The format allows 100 MB.
        guard count <= 100_000_000, let header = try? file.bytes(at: 0, count: 8 + Int(count)) else { return nil }
        return BlobDigest(sha256: FileDigest.sha256(of: header))
    }
}
