import Identifiers
import SystemPackage

/// Parses the closed grammar of a safetensors header: an object of tensor entries and one of metadata strings.
///
/// The grammar has a fixed depth, so nothing recurses, and whatever it does not know is refused where it stands.
struct SafetensorsHeaderParser {
    var scanner: JSONScanner
    let file: FilePath

    /// The key of the metadata among the names of tensors.
    static let metadataKey = "__metadata__"

    struct Entries {
        var metadata: [String: String] = [:]
        var tensors: [TensorInfo] = []
    }

    /// Parses from the brace to the last padding space.
    mutating func wholeHeader() throws(SafetensorsError) -> Entries {
        var entries = Entries()
        var seen: Set<String> = []
        try expect(UInt8(ascii: "{"))
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                let name = try key()
                guard seen.insert(name).inserted else {
                    throw .duplicateKey(file: file, object: "the header", key: name)
                }
                if name == Self.metadataKey {
                    entries.metadata = try metadata()
                } else {
                    entries.tensors.append(try tensor(name))
                }
            } while try separator(orEnd: UInt8(ascii: "}"))
        }
        guard scanner.onlySpacesRemain() else {
            throw .header(file: file, problem: .trailingGarbage(offset: scanner.offset))
        }
        return entries
    }

    private mutating func metadata() throws(SafetensorsError) -> [String: String] {
        var metadata: [String: String] = [:]
        try expect(UInt8(ascii: "{"))
        guard !scanner.take(UInt8(ascii: "}")) else { return metadata }
        repeat {
            let key = try key()
            guard scanner.peek() == UInt8(ascii: "\"") else {
                throw .header(file: file, problem: .metadataNotString(key: key))
            }
            guard metadata.updateValue(try string(), forKey: key) == nil else {
                throw .duplicateKey(file: file, object: "the metadata", key: key)
            }
        } while try separator(orEnd: UInt8(ascii: "}"))
        return metadata
    }

    // MARK: - One tensor

    private mutating func tensor(_ name: String) throws(SafetensorsError) -> TensorInfo {
        var dataType: TensorDataType?
        var shape: [Int]?
        var offsets: [Int]?
        try expect(UInt8(ascii: "{"))
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                let field = try key()
                switch (field, dataType, shape, offsets) {
                case ("dtype", nil, _, _): dataType = try self.dataType(name)
                case ("shape", _, nil, _): shape = try numbers(name, field)
                case ("data_offsets", _, _, nil): offsets = try numbers(name, field)
                case ("dtype", _, _, _), ("shape", _, _, _), ("data_offsets", _, _, _):
                    throw .duplicateKey(file: file, object: "tensor \"\(name.excerpt)\"", key: field)
                default: throw .tensor(file: file, name: name, problem: .unknownField(field))
                }
            } while try separator(orEnd: UInt8(ascii: "}"))
        }
        guard let dataType else { throw .tensor(file: file, name: name, problem: .missingField("dtype")) }
        guard let shape else { throw .tensor(file: file, name: name, problem: .missingField("shape")) }
        guard let offsets else { throw .tensor(file: file, name: name, problem: .missingField("data_offsets")) }
        return try checked(TensorDescription(name: name, dataType: dataType, shape: shape), offsets)
    }

    private func checked(_ tensor: TensorDescription, _ offsets: [Int]) throws(SafetensorsError) -> TensorInfo {
        func broken(_ problem: SafetensorsError.TensorProblem) -> SafetensorsError {
            .tensor(file: file, name: tensor.name, problem: problem)
        }
        guard offsets.count == 2 else { throw broken(.offsetCount(offsets.count)) }
        let (start, end) = (offsets[0], offsets[1])
        guard start <= end else { throw broken(.offsetsReversed(start: start, end: end)) }
        guard let bitCount = tensor.bitCount else { throw broken(.shapeTooLarge(tensor)) }
        guard let byteCount = tensor.byteCount else { throw broken(.partialByte(tensor, bitCount: bitCount)) }
        guard byteCount == end - start else {
            throw broken(.sizeMismatch(tensor, expected: byteCount, found: end - start))
        }
        return TensorInfo(description: tensor, byteRange: start..<end)
    }

    private mutating func dataType(_ name: String) throws(SafetensorsError) -> TensorDataType {
        let text = try string()
        guard let dataType = TensorDataType(rawValue: text) else {
            throw .tensor(file: file, name: name, problem: .unknownDataType(text))
        }
        return dataType
    }

    private mutating func numbers(_ name: String, _ field: String) throws(SafetensorsError) -> [Int] {
        var numbers: [Int] = []
        try expect(UInt8(ascii: "["))
        guard !scanner.take(UInt8(ascii: "]")) else { return numbers }
        repeat {
            let text = try located { (scanner: inout JSONScanner) throws(JSONSyntaxError) in try scanner.number() }
            guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
                throw .tensor(file: file, name: name, problem: .notWholeNumber(field: field, text: text))
            }
            guard let number = Int(text) else {
                throw .tensor(file: file, name: name, problem: .numberTooLarge(field: field, text: text))
            }
            numbers.append(number)
        } while try separator(orEnd: UInt8(ascii: "]"))
        return numbers
    }

    // MARK: - Tokens, with the file in their errors

    private mutating func key() throws(SafetensorsError) -> String {
        try located { (scanner: inout JSONScanner) throws(JSONSyntaxError) in
            let key = try scanner.string()
            try scanner.expect(UInt8(ascii: ":"))
            return key
        }
    }

    private mutating func string() throws(SafetensorsError) -> String {
        try located { (scanner: inout JSONScanner) throws(JSONSyntaxError) in try scanner.string() }
    }

    private mutating func expect(_ byte: UInt8) throws(SafetensorsError) {
        try located { (scanner: inout JSONScanner) throws(JSONSyntaxError) in try scanner.expect(byte) }
    }

    private mutating func separator(orEnd closing: UInt8) throws(SafetensorsError) -> Bool {
        try located { (scanner: inout JSONScanner) throws(JSONSyntaxError) in
            try scanner.separator(orEnd: closing)
        }
    }

    private mutating func located<Value>(
        _ token: (inout JSONScanner) throws(JSONSyntaxError) -> Value
    ) throws(SafetensorsError) -> Value {
        do throws(JSONSyntaxError) {
            return try token(&scanner)
        } catch {
            throw .malformedJSON(file: file, offset: error.offset, found: error.found, expected: error.expected)
        }
    }
}
