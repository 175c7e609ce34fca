import FileAccess
import Synchronization
public import SystemPackage
public import ZeroMQ

/// A public key that may connect, and what its holder may do.
public struct AuthorizedKey: Equatable, Sendable {
    /// The file's name without `.public`.
    public let name: String
    /// The key.
    public let publicKey: CurvePublicKey
    /// What its holder may do.
    public let roles: Set<Role>
    /// The file that holds the key.
    public let file: FilePath

    /// Whether the holder may do what requires a role.
    public func isAllowed(_ needed: Role) -> Bool {
        roles.contains { $0.includes(needed) }
    }
}

/// The keys that may connect: a directory of `<name>.public` files, read completely or not at all.
public final class AuthorizedKeys: Sendable {
    /// The changes of a reload, as names of keys.
    public struct Change: Equatable, Sendable {
        /// Keys that are new, or that have other roles.
        public var granted: [String]
        /// Keys that are gone.
        public var removed: [String]
    }

    /// Where the files are.
    public let directory: FilePath
    /// The keys by their text, because every message carries a key as text.
    private let keys: Mutex<[String: AuthorizedKey]>

    /// Reads a directory.
    ///
    /// - Throws: ``KeysError`` for the first unusable file, so that nobody is authorized by accident.
    public init(directory: FilePath) throws(KeysError) {
        self.directory = directory
        keys = Mutex(try Self.read(directory))
    }

    /// Reads the directory again.
    ///
    /// A removed key has no rights from the next message on.
    ///
    /// - Returns: The changes.
    /// - Throws: ``KeysError`` for the first unusable file; the keys stay as they were.
    @discardableResult
    public func reload() throws(KeysError) -> Change {
        let fresh = try Self.read(directory)
        let old = keys.withLock { keys in
            defer { keys = fresh }
            return keys
        }
        return Change(
            granted: fresh.filter { old[$0.key] != $0.value }.map(\.value.name).sorted(),
            removed: old.filter { fresh[$0.key] == nil }.map(\.value.name).sorted())
    }

    /// The number of keys that may connect.
    public var count: Int { keys.withLock { $0.count } }

    /// The key of a user, as `Message.authenticatedUser` names it; `nil` when it has no rights, or has none any more.
    public subscript(user: String) -> AuthorizedKey? {
        keys.withLock { $0[user] }
    }

    /// Whether a key may connect.
    public func contains(_ key: CurvePublicKey) -> Bool {
        self[key.description] != nil
    }

    private static func read(_ directory: FilePath) throws(KeysError) -> [String: AuthorizedKey] {
        var keys: [String: AuthorizedKey] = [:]
        for file in try files(in: directory) {
            let (key, roles) = try PublicKeyFile.readWithRoles(file)
            guard !roles.isEmpty else { throw .missingLine(file: file, expected: "role worker|submitter|reader") }
            if let other = keys[key.description] { throw .sameKey(file: file, other: other.file) }
            keys[key.description] = AuthorizedKey(
                name: file.stem ?? "", publicKey: key, roles: roles, file: file)
        }
        return keys
    }

    private static func files(in directory: FilePath) throws(KeysError) -> [FilePath] {
        do {
            guard try directory.stat().permissions.rawValue & 0o002 == 0 else {
                throw KeysError.writableByAll(file: directory)
            }
        } catch let error as KeysError {
            throw error
        } catch {
            throw .callFailed(file: directory, call: "stat", code: error as? Errno ?? .ioError)
        }
        do {
            let names = try FileRoots.unlimited.names(in: directory)
            return names.filter { $0.hasSuffix(".public") && !$0.hasPrefix(".") }.map { directory.appending($0) }
        } catch {
            guard case .callFailed(_, let call, let code) = error else { return [] }
            throw .callFailed(file: directory, call: call, code: code)
        }
    }
}
