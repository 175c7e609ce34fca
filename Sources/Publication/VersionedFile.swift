import FileAccess
import Identifiers
import JSONText
import SystemPackage

/// The small files of this module: JSON texts that state their format and version under the key `format`.
///
/// The known version and earlier ones are read. A later one is refused, with both versions in the error.
enum VersionedFile {
    /// Parses a file of a format.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - format: The latest known version.
    ///   - byteLimit: The most bytes that the file may have.
    /// - Returns: The value, of the known version or an earlier one.
    /// - Throws: ``PublicationError/newerVersion(file:found:known:)``, ``PublicationError/malformed(file:problem:)`` or
    ///   ``PublicationError/file(_:)``.
    static func read(_ file: FilePath, format: FormatVersion, byteLimit: Int) throws(PublicationError) -> JSONValue {
        let bytes = try writing { () throws(FileError) in try WholeFile.read(file, limit: byteLimit) }
        return try parse(bytes, file: file, format: format)
    }

    /// Parses the text of a file of a format.
    ///
    /// - Throws: As ``read(_:format:byteLimit:)``.
    static func parse(_ bytes: [UInt8], file: FilePath, format: FormatVersion) throws(PublicationError) -> JSONValue {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, file: file)
        } catch {
            throw .malformed(file: file, problem: "it is no JSON text.")
        }
        switch format.problem(with: value["format"]?.stringValue, oldest: 1) {
        case nil: return value
        case .newer(let found, _)?: throw .newerVersion(file: file, found: "\(found)", known: "\(format)")
        case let problem?: throw .malformed(file: file, problem: "it \(problem)")
        }
    }
}

extension JSONValue {
    /// The elements, if the value is a list.
    var elements: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The number, if the value is a count.
    var count: UInt64? {
        guard case .number(let text) = self else { return nil }
        return UInt64(text)
    }
}
