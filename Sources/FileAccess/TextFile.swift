import Glibc
public import SystemPackage

/// Texts that are read whole: files that people write, and small ones of programs and of the kernel.
///
/// A size limit is checked before reading.
public enum TextFile {
    /// The text of a file, or of a pipe.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: The most bytes.
    ///   - isStored: Whether only a regular file is accepted. A pipe may wait for a writer for ever.
    /// - Returns: Its text.
    /// - Throws: ``TextFileError``.
    public static func read(_ path: FilePath, limit: Int, isStored: Bool = false) throws(TextFileError) -> String {
        let bytes: [UInt8]
        do {
            // Without O_NONBLOCK, opening a pipe waits for its writer.
            let options: FileDescriptor.OpenOptions = isStored ? [.closeOnExec, .nonBlocking] : .closeOnExec
            let descriptor = try FileDescriptor.open(path, .readOnly, options: options)
            bytes = try descriptor.closeAfter { try Self.bytes(of: descriptor, path, limit, isStored) }
        } catch let error as TextFileError {
            throw error
        } catch {
            throw .unreadable(path: path, code: error as? Errno ?? .ioError)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notText(path: path) }
        return text
    }

    /// The most bytes of a file of the kernel; its longest one lists the mounts of the machine.
    private static let kernelLimit = 16 << 20

    /// The text of a file that the kernel writes, such as `/proc/self/stat`; `nil` when it cannot be read.
    public static func ofKernel(_ path: String) -> String? {
        try? read(FilePath(path), limit: kernelLimit, isStored: true)
    }

    private static func bytes(
        of descriptor: FileDescriptor, _ path: FilePath, _ limit: Int, _ isStored: Bool
    ) throws -> [UInt8] {
        var status = stat()
        guard unsafe fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        guard !isStored || status.st_mode & S_IFMT == S_IFREG else { throw TextFileError.notStored(path: path) }
        if status.st_mode & S_IFMT == S_IFREG, status.st_size > limit {
            throw TextFileError.tooLarge(path: path, byteCount: Int(status.st_size), limit: limit)
        }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        // The size of a pipe, a device or a growing file is not known in advance.
        while true {
            let count = try unsafe block.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
            guard count > 0 else { return bytes }
            bytes += block.prefix(count)
            guard bytes.count <= limit else { throw TextFileError.tooLarge(path: path, byteCount: nil, limit: limit) }
        }
    }
}

/// Why a text file is not read.
public enum TextFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file is too large; `byteCount` is its size, when known.
    case tooLarge(path: FilePath, byteCount: Int?, limit: Int)
    /// The path is a directory, a pipe, a socket or a device.
    case notStored(path: FilePath)
    /// The file is not UTF-8.
    case notText(path: FilePath)
    /// The system refuses to read the file.
    case unreadable(path: FilePath, code: Errno)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .tooLarge(let path, let byteCount, let limit):
            "\(path): has \(byteCount.map { "\($0)" } ?? "more than \(limit)") bytes; at most \(limit) are allowed for "
                + "such a file. Is it the right one?"
        case .notStored(let path): "\(path): is no regular file. Name one."
        case .notText(let path): "\(path): is no UTF-8 text. Is it the right file?"
        case .unreadable(let path, let code):
            "\(path): cannot be read: \(SystemWords.sentence(on: code))"
        }
    }
}
