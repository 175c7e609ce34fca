import Keys
import Logging
import Telemetry

/// Reads the authorized keys again; if they cannot be read, the old ones stay.
struct KeyReload {
    let keys: AuthorizedKeys
    let logger: Logger

    func run() {
        do {
            let change = try keys.reload()
            logger.notice(
                "authorized keys reloaded",
                metadata: [
                    "keys": "\(keys.count)", "granted": "\(change.granted.joined(separator: " "))",
                    "removed": "\(change.removed.joined(separator: " "))",
                ])
        } catch {
            logger.error(
                "authorized keys could not be reloaded; the old ones stay", metadata: [LogKeys.cause: "\(error)"])
        }
    }
}
