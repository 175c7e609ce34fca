public import SystemPackage
public import ZeroMQ

/// Where a process finds its own key pair.
public struct SecretKeyPlace: Equatable, Sendable {
    /// The file.
    public let file: FilePath
    /// The protection of the file.
    public let guardian: SecretKeyFile.Guard

    /// Finds the file: the named one, else the service credential if it exists.
    ///
    /// - Parameters:
    ///   - named: The file that the user named.
    ///   - credentials: The directory of the service's credentials (systemd.exec(5), `CREDENTIALS_DIRECTORY`).
    public init?(named: String?, credentials: String?) {
        if let named {
            (file, guardian) = (FilePath(named), .permissions)
            return
        }
        guard let credentials, !credentials.isEmpty else { return nil }
        let file = FilePath(credentials).appending("curve.secret")
        do throws(Errno) {
            _ = try file.stat()
        } catch .noSuchFileOrDirectory {
            return nil
        } catch {
            // The file exists, or may exist; reading it tells what is wrong.
        }
        (self.file, guardian) = (file, .credentials)
    }

    /// Reads the pair.
    ///
    /// - Throws: ``KeysError``.
    public func read() throws(KeysError) -> CurveKeyPair {
        try SecretKeyFile.read(file, guardedBy: guardian)
    }
}
