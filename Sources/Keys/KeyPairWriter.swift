import FileAccess
import Glibc
public import SystemPackage
public import ZeroMQ

/// Makes key pairs and writes them to files.
///
/// It never replaces a file.
public struct KeyPairWriter: Sendable {
    /// The pair's secret file, `NAME.secret`.
    public let secretFile: FilePath
    /// The pair's public file, `NAME.public`.
    public let publicFile: FilePath
    private let name: String
    private let directory: FilePath

    /// Names the files of a pair; writes nothing.
    ///
    /// - Parameters:
    ///   - name: The pair's name.
    ///   - directory: The directory for the files.
    /// - Throws: ``KeysError/invalidName(_:)``.
    public init(name: String, in directory: FilePath) throws(KeysError) {
        guard Self.isUsable(name) else { throw .invalidName(name) }
        self.name = name
        self.directory = directory
        secretFile = directory.appending("\(name).secret")
        publicFile = directory.appending("\(name).public")
    }

    /// Makes a fresh pair and writes both files.
    ///
    /// A file appears under its name only when it is whole, and is durable on return.
    ///
    /// - Parameter roles: The roles that the public file grants its holder.
    /// - Returns: The public key.
    /// - Throws: ``KeysError``; neither file was written.
    public func writeFreshPair(roles: [Role]) throws(KeysError) -> CurvePublicKey {
        let pair: CurveKeyPair
        do {
            pair = try CurveKeyPair.generate()
        } catch {
            throw .unavailable(cause: error.description)
        }
        try write(SecretKeyFile.text(of: pair, name: name), to: secretFile, permissions: .ownerReadWrite)
        do {
            try write(
                PublicKeyFile.text(of: pair.publicKey, name: name, roles: roles), to: publicFile,
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
        } catch {
            unlink(secretFile.string)
            throw error
        }
        return pair.publicKey
    }

    private static func isUsable(_ name: String) -> Bool {
        let isPlain = name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || [0x2d, 0x2e, 0x5f].contains(byte)
        }
        guard isPlain, let first = name.utf8.first else { return false }
        return (1...64).contains(name.utf8.count) && first != 0x2d && first != 0x2e && first != 0x5f
    }

    /// Writes a temporary file, makes it durable, and links it to the name; the link fails when the name is taken.
    private func write(_ text: String, to file: FilePath, permissions: FilePermissions) throws(KeysError) {
        let partial = directory.appending(".\(name).\(String(UInt64.random(in: .min ... .max), radix: 16)).partial")
        var call = "open"
        do {
            let descriptor = try FileDescriptor.open(
                partial, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec], permissions: permissions)
            defer { unlink(partial.string) }
            try descriptor.closeAfter {
                call = "write"
                _ = try descriptor.writeAll(Array(text.utf8))
                call = "fsync"
                try descriptor.synchronize()
            }
            call = "link"
            try Self.require(Glibc.link(partial.string, file.string))
            call = "fsync"
            try FileDescriptor.synchronize(directory: directory)
        } catch {
            let code = error as? Errno ?? .ioError
            throw code == .fileExists ? .exists(file: file) : .callFailed(file: file, call: call, code: code)
        }
    }

    private static func require(_ result: Int32) throws {
        guard result == 0 else { throw Errno(rawValue: errno) }
    }
}
