import Foundation
import SystemPackage

extension SystemWords {
    /// The sentence for any error.
    ///
    /// Our errors have their own sentence. Foundation's errors describe themselves for a debugger, so they get the
    /// words for the system error beneath them.
    public static func text(of error: any Error) -> String {
        switch error {
        case let code as Errno: text(of: code)
        case let error as POSIXError: text(of: Errno(rawValue: error.code.rawValue))
        case let error as CocoaError: text(of: error)
        case let error as DecodingError: text(of: error)
        case is CancellationError: "it was interrupted"
        default: "\(error)"
        }
    }

    /// The words for a Foundation error, after the path that it is about.
    private static func text(of error: CocoaError) -> String {
        let path = unsafe error.userInfo[NSFilePathErrorKey] as? String ?? error.url?.path
        let words = code(of: error).map { text(of: $0) } ?? "the file cannot be read or written"
        return path.map { "\($0): \(words)" } ?? words
    }

    private static func code(of error: CocoaError) -> Errno? {
        switch unsafe error.userInfo[NSUnderlyingErrorKey] {
        case let error as POSIXError: return Errno(rawValue: error.code.rawValue)
        case let error as NSError where error.domain == NSPOSIXErrorDomain: return Errno(rawValue: CInt(error.code))
        default: break
        }
        return switch error.code {
        case .fileNoSuchFile, .fileReadNoSuchFile: .noSuchFileOrDirectory
        case .fileReadNoPermission, .fileWriteNoPermission: .permissionDenied
        case .fileWriteOutOfSpace: .noSpace
        case .fileWriteFileExists: .fileExists
        case .fileWriteVolumeReadOnly: .readOnlyFileSystem
        case .fileReadInvalidFileName, .fileWriteInvalidFileName: .fileNameTooLong
        default: nil
        }
    }

    private static func text(of error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\"\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(place(context)) holds a value of another type"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "the text is no JSON" : "\(place(context)) holds a value that cannot be"
        @unknown default: "the text cannot be understood"
        }
    }

    private static func place(_ context: DecodingError.Context) -> String {
        let keys = context.codingPath.map { key in key.intValue.map { "entry \($0 + 1)" } ?? "\"\(key.stringValue)\"" }
        return keys.isEmpty ? "it" : keys.joined(separator: ", ")
    }
}
