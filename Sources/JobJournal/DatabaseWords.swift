internal import GRDB

/// Describes SQLite's errors for a person; SQLite's own text names codes and the failed statement.
enum DatabaseWords {
    /// Describes a database error; other errors describe themselves.
    static func text(of error: any Error) -> String {
        guard let error = error as? DatabaseError else { return "\(error)" }
        return switch error.resultCode {
        case .SQLITE_FULL: "no space is left on the disk or in the quota"
        case .SQLITE_CANTOPEN: "it, or a file beside it, cannot be opened or made"
        case .SQLITE_READONLY: "it may only be read, not written"
        case .SQLITE_PERM, .SQLITE_AUTH: "this user may not open it"
        case .SQLITE_BUSY, .SQLITE_LOCKED: "another program holds it"
        case .SQLITE_IOERR: "the disk failed, is full, or does not let it be locked (input/output error)"
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT: "it is damaged, or no journal"
        case .SQLITE_NOMEM: "there is not enough memory"
        case .SQLITE_TOOBIG: "a record is too large"
        default: error.message ?? "the database reports \(error.resultCode.rawValue)"
        }
    }
}
