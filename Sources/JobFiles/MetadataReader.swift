import FileAccess
import Identifiers
import JSONText
import LinearAlgebra
import Safetensors
import SystemPackage

/// Reads typed values from a file's metadata strings.
///
/// Every error names the file and the key.
struct MetadataReader {
    let metadata: [String: String]
    let file: FilePath

    /// Refuses a `format` of another kind; files of other programs may have none.
    func requireFormat(_ kind: JobFileKind) throws(JobFileError) {
        guard let found = metadata[MetadataKey.format], let problem = kind.format?.problem(with: found) else { return }
        throw .wrongFormat(file: file, problem)
    }

    func required(_ key: String, _ expected: String) throws(JobFileError) -> String {
        guard let text = metadata[key] else { throw .metadataMissing(file: file, key: key, expected: expected) }
        return text
    }

    /// A whole number of at least 1, or nil if the key is absent.
    func positiveInteger(_ key: String) throws(JobFileError) -> Int? {
        guard let text = metadata[key] else { return nil }
        guard let number = text.wholeNumber, number > 0 else {
            throw invalid(key, "a whole number of at least 1")
        }
        return number
    }

    func digest(_ key: String) throws(JobFileError) -> BlobDigest? {
        guard let text = metadata[key] else { return nil }
        guard let digest = BlobDigest(hexadecimal: text) else {
            throw invalid(key, "a SHA-256 of 64 hexadecimal digits")
        }
        return digest
    }

    func number(_ key: String) throws(JobFileError) -> Double? {
        guard let text = metadata[key] else { return nil }
        guard let number = Double(text), number.isFinite else { throw invalid(key, "a finite number") }
        return number
    }

    /// An object whose values `convert` accepts, or nil if the key is absent.
    func object<Value>(
        _ key: String,
        _ expected: String,
        _ convert: (JSONValue) -> Value?
    ) throws(JobFileError) -> [String: Value]? {
        guard metadata[key] != nil else { return nil }
        guard let members = try json(key, expected).members else { throw invalid(key, expected) }
        var object: [String: Value] = [:]
        for member in members {
            guard let value = convert(member.value) else { throw invalid(key, expected) }
            object[member.key] = value
        }
        return object
    }

    func strings(_ key: String, _ expected: String) throws(JobFileError) -> [String]? {
        guard metadata[key] != nil else { return nil }
        guard let strings = try json(key, expected).strings else { throw invalid(key, expected) }
        return strings
    }

    func invalid(_ key: String, _ expected: String) -> JobFileError {
        .metadataInvalid(file: file, key: key, text: metadata[key] ?? "", expected: expected)
    }

    private func json(_ key: String, _ expected: String) throws(JobFileError) -> JSONValue {
        let text = metadata[key] ?? ""
        // A position inside a metadata string would mislead, because it is not a position in the file.
        guard let value = try? JSONValue(parsing: Array(text.utf8), file: file) else { throw invalid(key, expected) }
        return value
    }
}

extension JSONValue {
    /// A finite number, if the value is one.
    var finiteNumber: Double? {
        guard case .number(let text) = self, let number = Double(text), number.isFinite else { return nil }
        return number
    }

    /// A finite number above 0, if the value is one.
    var positiveNumber: Double? { finiteNumber.flatMap { $0 > 0 ? $0 : nil } }

    /// A finite number of at least 0, if the value is one.
    var nonNegativeNumber: Double? { finiteNumber.flatMap { $0 >= 0 ? $0 : nil } }

    /// A whole number of at least 0, if the value is one.
    var count: Int? {
        guard case .number(let text) = self, let number = Int(text), number >= 0 else { return nil }
        return number
    }

    /// A list of strings, if the value is one.
    var strings: [String]? {
        guard case .array(let elements) = self else { return nil }
        let strings = elements.compactMap(\.stringValue)
        return strings.count == elements.count ? strings : nil
    }

    /// True or false, if the value is one of them.
    var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// An object with sorted keys, so that equal content gives equal bytes.
    static func sortedObject<Value>(_ values: [String: Value], _ convert: (Value) -> JSONValue) -> JSONValue {
        let sorted = values.sorted { $0.key.precedesByScalars($1.key) }
        return .object(sorted.map { Member($0.key, convert($0.value)) })
    }
}

/// Runs a body, and wraps a file-format error in this module's error.
func wrapping<Value: ~Copyable>(
    _ body: () throws(SafetensorsError) -> Value
) throws(JobFileError) -> Value {
    do throws(SafetensorsError) { return try body() } catch { throw .safetensors(error) }
}

/// Runs a body, and makes its error into one of this module.
func wrapping<Value>(_ body: () throws(FileError) -> Value) throws(JobFileError) -> Value {
    do throws(FileError) { return try body() } catch { throw .file(error) }
}

/// Runs a body, and makes its error into one of this module.
func wrapping<Value>(_ body: () throws(JSONError) -> Value) throws(JobFileError) -> Value {
    do throws(JSONError) { return try body() } catch { throw .json(error) }
}

/// Runs a body, and adds the file's name to an error that it throws.
func wrapping<Value: ~Copyable>(
    _ file: FilePath,
    _ body: () throws(LinearAlgebraError) -> Value
) throws(JobFileError) -> Value {
    do throws(LinearAlgebraError) { return try body() } catch { throw .linearAlgebra(file: file, error) }
}
