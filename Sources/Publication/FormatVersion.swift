import Safetensors
import SystemPackage

/// The version rule of the small files of this module: `NAME/NUMBER` under the key `format`.
///
/// An equal or earlier version is read, a later one is refused with both versions.
enum FormatVersion {
    /// Parses a file of a format.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - format: The latest format that is known.
    ///   - byteLimit: The most bytes that the file may have.
    /// - Returns: The value, of that format or an earlier one.
    /// - Throws: ``PublicationError/newerVersion(file:found:known:)``, ``PublicationError/malformed(file:problem:)`` or
    ///   ``PublicationError/file(_:)``.
    static func read(_ file: FilePath, format: String, byteLimit: Int) throws(PublicationError) -> JSONValue {
        let bytes = try writing { () throws(SafetensorsError) in try WholeFile.read(file, limit: byteLimit) }
        return try parse(bytes, file: file, format: format)
    }

    /// Parses the text of a file of a format.
    ///
    /// - Throws: As ``read(_:format:byteLimit:)``.
    static func parse(_ bytes: [UInt8], file: FilePath, format: String) throws(PublicationError) -> JSONValue {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, file: file)
        } catch {
            throw .malformed(file: file, problem: "it is no JSON text.")
        }
        let found = value["format"]?.stringValue ?? ""
        let (foundParts, knownParts) = (found.split(separator: "/"), format.split(separator: "/"))
        guard foundParts.count == 2, foundParts[0] == knownParts[0], let version = Int(foundParts[1]),
            let known = Int(knownParts[1])
        else { throw .malformed(file: file, problem: "its format is \"\(found.prefix(64))\", expected \"\(format)\".") }
        guard version <= known else { throw .newerVersion(file: file, found: found, known: format) }
        return value
    }
}

extension JSONValue {
    /// The elements, if the value is a list.
    var elements: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The number, if the value is one that is a count.
    var count: UInt64? {
        guard case .number(let text) = self else { return nil }
        return UInt64(text)
    }
}
