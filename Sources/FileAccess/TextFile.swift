import Glibc
public import SystemPackage

/// Files that people write, read whole and never more than that: a limit holds before anything is read.
public enum TextFile {
    /// The text of a file, or of a pipe.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: Most bytes.
    ///   - isStored: Whether it must be a file that can be read again, and that nobody has to write first.
    /// - Returns: Its text.
    /// - Throws: ``TextFileError``.
    public static func read(_ path: FilePath, limit: Int, isStored: Bool = false) throws(TextFileError) -> String {
        let bytes: [UInt8]
        do {
            // Whoever opens a pipe waits for its writer, unless told not to.
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
        // What a pipe, a device or a file that grows holds is not known before.
        while true {
            let count = try unsafe block.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
            guard count > 0 else { return bytes }
            bytes += block.prefix(count)
            guard bytes.count <= limit else { throw TextFileError.tooLarge(path: path, byteCount: nil, limit: limit) }
        }
    }
}

/// Why a text is not read.
public enum TextFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It is larger than such a file may be; `byteCount` is its size, where it is known.
    case tooLarge(path: FilePath, byteCount: Int?, limit: Int)
    /// It is a directory, a pipe, a socket or a device.
    case notStored(path: FilePath)
    /// It is not UTF-8.
    case notText(path: FilePath)
    /// The system does not let it be read.
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
            "\(path): cannot be read: \(code) (errno \(code.rawValue)).\(code.remedy)"
        }
    }
}
