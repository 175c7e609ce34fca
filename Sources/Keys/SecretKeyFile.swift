import Identifiers
public import SystemPackage
public import ZeroMQ

/// A file with a key pair: the lines `secret` and `public`, readable by its owner alone.
public enum SecretKeyFile {
    /// How the file is protected.
    public enum Guard: Sendable {
        /// Its own permissions.
        case permissions
        /// The directory of a service's credentials.
        ///
        /// Its access list shows as group permissions.
        case credentials
    }

    /// Reads a key pair.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - guardian: The protection of the file.
    /// - Returns: The pair.
    /// - Throws: ``KeysError``, also for a file that other users can read.
    public static func read(_ file: FilePath, guardedBy guardian: Guard = .permissions) throws(KeysError)
        -> CurveKeyPair
    {
        let forbidden: UInt16 =
            switch guardian {
            case .permissions: 0o077
            case .credentials: 0o007
            }
        let text = try KeyFileText(reading: file) { permissions throws(KeysError) in
            guard permissions & forbidden == 0 else { throw .notPrivate(file: file, permissions: permissions) }
        }
        try text.require("secret", "public")
        let secret = try text.only("secret", expected: "secret KEY")
        let publicKey = try PublicKeyFile.key(text.only("public", expected: "public KEY"), of: file)
        let pair: CurveKeyPair
        do {
            pair = try CurveKeyPair(secretKey: try CurveSecretKey(z85: secret.value))
        } catch {
            throw .malformedLine(file: file, line: secret.number, problem: error.description)
        }
        guard pair.publicKey == publicKey else { throw .mismatch(file: file) }
        return pair
    }

    /// The text of a file.
    static func text(of pair: CurveKeyPair, name: String) -> String {
        """
        # kfacd secret key "\(name)". Whoever reads it can be \(name): keep it where it is used, mode 0600.
        format \(FormatVersion.key)
        secret \(pair.secretKey.exposedZ85)
        public \(pair.publicKey)

        """
    }
}

/// A file with a public key: the line `public`, and a line `role` for each role of its holder.
public enum PublicKeyFile {
    /// Reads a public key, whatever its roles.
    ///
    /// - Throws: ``KeysError``.
    public static func read(_ file: FilePath) throws(KeysError) -> CurvePublicKey {
        try readWithRoles(file).key
    }

    /// Reads a public key and its roles.
    ///
    /// - Throws: ``KeysError``, also for a file that any user can change.
    static func readWithRoles(_ file: FilePath) throws(KeysError) -> (key: CurvePublicKey, roles: Set<Role>) {
        let text = try KeyFileText(reading: file) { permissions throws(KeysError) in
            guard permissions & 0o002 == 0 else { throw .writableByAll(file: file) }
        }
        try text.require("public", "role")
        var roles: Set<Role> = []
        for line in text.lines where line.keyword == "role" {
            guard let role = Role(rawValue: line.value) else {
                throw .malformedLine(
                    file: file, line: line.number,
                    problem: "the role \"\(line.value.excerpt)\" is unknown; expected worker, submitter or reader.")
            }
            roles.insert(role)
        }
        return (try key(try text.only("public", expected: "public KEY"), of: file), roles)
    }

    /// The key in a line.
    ///
    /// - Throws: ``KeysError/malformedLine(file:line:problem:)``.
    static func key(_ line: KeyFileText.Line, of file: FilePath) throws(KeysError) -> CurvePublicKey {
        do {
            return try CurvePublicKey(z85: line.value)
        } catch {
            throw .malformedLine(file: file, line: line.number, problem: error.description)
        }
    }

    /// The text of a file.
    static func text(of key: CurvePublicKey, name: String, roles: [Role]) -> String {
        """
        # kfacd public key "\(name)". It may be given to anybody.
        format \(FormatVersion.key)
        public \(key)

        """ + roles.map { "role \($0.rawValue)\n" }.joined()
    }
}
