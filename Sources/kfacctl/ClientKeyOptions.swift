import ArgumentParser
import Console
import Foundation
import Keys
import SystemPackage
import ZeroMQ

/// The keys of a client for a coordinator on another machine.
struct ClientKeyOptions: ParsableArguments {
    @Option(help: "The coordinator's public key file (KFACD_SERVER_KEY).")
    var serverKey: String?

    @Option(help: "Your own key file (KFACD_SECRET_KEY).")
    var secretKey: String?

    /// Reads the keys.
    ///
    /// - Throws: ``CommandFailure`` with the fault and what to do.
    func keys(for endpoint: Endpoint) throws -> PeerKeys? {
        let environment = ProcessInfo.processInfo.environment
        let serverKey = serverKey ?? environment["KFACD_SERVER_KEY"]
        let secretKey = secretKey ?? environment["KFACD_SECRET_KEY"]
        let options = [("--server-key FILE", serverKey), ("--secret-key FILE", secretKey)]
        let missing = options.filter { $0.1 == nil }.map(\.0)
        guard let serverKey, let secretKey else {
            if endpoint.isLocalOnly, missing.count == 2 { return nil }
            throw CommandFailure(
                .badInput,
                "\(endpoint): needs keys; missing: \(missing.joined(separator: ", ")). Copy the "
                    + "coordinator's .public file here, make a key with \"kfacctl keygen NAME --role submitter\", and "
                    + "have its .public file put into the coordinator's directory of authorized keys.")
        }
        do throws(KeysError) {
            return PeerKeys(
                pair: try SecretKeyFile.read(FilePath(secretKey)),
                serverKey: try PublicKeyFile.read(FilePath(serverKey)))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }
}
