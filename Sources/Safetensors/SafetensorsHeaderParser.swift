import Identifiers
import JSONText
import SystemPackage

/// Parses the fixed grammar of a safetensors header: an object of tensor entries and one of metadata strings.
///
/// The parser accepts and refuses the same headers as the reference implementation. That one uses serde_json with a
/// struct for each tensor. Only the values of unknown fields may have any depth.
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
        var positions: [String: Int] = [:]
        var hasMetadata = false
        try expect(UInt8(ascii: "{"))
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                let name = try key()
                if name == Self.metadataKey {
                    guard !hasMetadata else {
                        throw .json(.duplicateKey(file: file, object: "the header", key: name))
                    }
                    hasMetadata = true
                    entries.metadata = try metadata()
                } else {
                    try append(try tensor(name), to: &entries, &positions)
                }
            } while try separator(orEnd: UInt8(ascii: "}"))
        }
        guard scanner.peek() == nil else {
            throw .header(file: file, problem: .trailingGarbage(offset: scanner.offset))
        }
        for tensor in entries.tensors { try require(tensor) }
        return entries
    }

    /// Adds a tensor; the last of several entries with one name counts.
    ///
    /// Two names that are equal as text, but differ in scalars, cannot be kept apart here.
    private func append(
        _ tensor: TensorInfo, to entries: inout Entries, _ positions: inout [String: Int]
    ) throws(SafetensorsError) {
        guard let position = positions[tensor.name] else {
            positions[tensor.name] = entries.tensors.count
            entries.tensors.append(tensor)
            return
        }
        guard entries.tensors[position].name.utf8.elementsEqual(tensor.name.utf8) else {
            throw .tensor(file: file, name: tensor.name, problem: .sameTextOtherScalars)
        }
        entries.tensors[position] = tensor
    }

    private mutating func metadata() throws(SafetensorsError) -> [String: String] {
        var metadata: [String: String] = [:]
        if scanner.take(word: "null") { return metadata }
        try expect(UInt8(ascii: "{"))
        guard !scanner.take(UInt8(ascii: "}")) else { return metadata }
        repeat {
            let key = try key()
            guard scanner.peek() == UInt8(ascii: "\"") else {
                throw .header(file: file, problem: .metadataNotString(key: key))
            }
            metadata[key] = try string()
        } while try separator(orEnd: UInt8(ascii: "}"))
        return metadata
    }

    // MARK: - One tensor

    private mutating func tensor(_ name: String) throws(SafetensorsError) -> TensorInfo {
        var dataType: TensorDataType?
        var shape: [Int]?
        var offsets: [Int]?
        if scanner.take(UInt8(ascii: "[")) { return try tensorInOrder(name) }
        try expect(UInt8(ascii: "{"))
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                let field = try key()
                switch (field, dataType, shape, offsets) {
                case ("dtype", nil, _, _): dataType = try self.dataType(name)
                case ("shape", _, nil, _): shape = try numbers(name, field)
                case ("data_offsets", _, _, nil): offsets = try numbers(name, field)
                case ("dtype", _, _, _), ("shape", _, _, _), ("data_offsets", _, _, _):
                    throw .json(.duplicateKey(file: file, object: "tensor \"\(name.excerpt)\"", key: field))
                default: try skipValue(depth: 2)
                }
            } while try separator(orEnd: UInt8(ascii: "}"))
        }
        guard let dataType else { throw .tensor(file: file, name: name, problem: .missingField("dtype")) }
        guard let shape else { throw .tensor(file: file, name: name, problem: .missingField("shape")) }
        guard let offsets else { throw .tensor(file: file, name: name, problem: .missingField("data_offsets")) }
        return try placed(TensorDescription(name: name, dataType: dataType, shape: shape), offsets)
    }

    /// A tensor as a list of its three fields, a form that the reference implementation accepts too.
    private mutating func tensorInOrder(_ name: String) throws(SafetensorsError) -> TensorInfo {
        let dataType = try dataType(name)
        try expect(UInt8(ascii: ","))
        let shape = try numbers(name, "shape")
        try expect(UInt8(ascii: ","))
        let offsets = try numbers(name, "data_offsets")
        try expect(UInt8(ascii: "]"))
        return try placed(TensorDescription(name: name, dataType: dataType, shape: shape), offsets)
    }

    private func placed(_ tensor: TensorDescription, _ offsets: [Int]) throws(SafetensorsError) -> TensorInfo {
        guard offsets.count == 2 else {
            throw .tensor(file: file, name: tensor.name, problem: .offsetCount(offsets.count))
        }
        let (start, end) = (offsets[0], offsets[1])
        guard start <= end else {
            throw .tensor(file: file, name: tensor.name, problem: .offsetsReversed(start: start, end: end))
        }
        return TensorInfo(description: tensor, byteRange: start..<end)
    }

    /// Checks a tensor's size.
    ///
    /// An entry is not checked when a later one of the same name replaces it.
    private func require(_ info: TensorInfo) throws(SafetensorsError) {
        let (tensor, range) = (info.description, info.byteRange)
        func broken(_ problem: SafetensorsError.TensorProblem) -> SafetensorsError {
            .tensor(file: file, name: tensor.name, problem: problem)
        }
        guard let bitCount = tensor.bitCount else { throw broken(.shapeTooLarge(tensor)) }
        guard let byteCount = tensor.byteCount else { throw broken(.partialByte(tensor, bitCount: bitCount)) }
        guard byteCount == range.count else {
            throw broken(.sizeMismatch(tensor, expected: byteCount, found: range.count))
        }
    }

    /// Skips the value of an unknown field, within the limits of the reference implementation.
    private mutating func skipValue(depth: Int) throws(SafetensorsError) {
        // serde_json's limit.
        guard depth < 127 else {
            let error = scanner.unexpected("at most 127 objects and lists inside each other")
            throw .json(JSONError(error, in: file))
        }
        switch scanner.peek() {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "["): try skipList(depth: depth)
        case UInt8(ascii: "{"): try skipObject(depth: depth)
        case let byte? where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte):
            let text = try located { (scanner: inout JSONScanner) throws(JSONSyntaxError) in try scanner.number() }
            guard Double(text)?.isFinite ?? false else {
                let expected = "a number that is not infinite"
                throw .json(.malformed(file: file, offset: scanner.offset, found: text.excerpt, expected: expected))
            }
        default:
            guard !scanner.take(word: "true"), !scanner.take(word: "false"), !scanner.take(word: "null") else { return }
            let error = scanner.unexpected("a value")
            throw .json(JSONError(error, in: file))
        }
    }

    private mutating func skipList(depth: Int) throws(SafetensorsError) {
        try expect(UInt8(ascii: "["))
        guard !scanner.take(UInt8(ascii: "]")) else { return }
        repeat { try skipValue(depth: depth + 1) } while try separator(orEnd: UInt8(ascii: "]"))
    }

    private mutating func skipObject(depth: Int) throws(SafetensorsError) {
        try expect(UInt8(ascii: "{"))
        guard !scanner.take(UInt8(ascii: "}")) else { return }
        repeat {
            _ = try key()
            try skipValue(depth: depth + 1)
        } while try separator(orEnd: UInt8(ascii: "}"))
    }

    private mutating func dataType(_ name: String) throws(SafetensorsError) -> TensorDataType {
        // An enumeration may also be an object with its name as the key and null as the value.
        let isObject = scanner.take(UInt8(ascii: "{"))
        let text = try string()
        guard let dataType = TensorDataType(rawValue: text) else {
            throw .tensor(file: file, name: name, problem: .unknownDataType(text))
        }
        guard isObject else { return dataType }
        try expect(UInt8(ascii: ":"))
        guard scanner.take(word: "null") else {
            let error = scanner.unexpected("null")
            throw .json(JSONError(error, in: file))
        }
        try expect(UInt8(ascii: "}"))
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
            throw .json(JSONError(error, in: file))
        }
    }
}
