import JSONText
public import SystemPackage

/// The header of a safetensors file: its metadata, and the range of every tensor.
///
/// A value of this type is consistent: sizes follow from types and shapes, tensors follow each other without holes, and
/// the file ends with the last tensor.
/// Source: the safetensors format (github.com/huggingface/safetensors, README "Format", 0.8).
public struct SafetensorsHeader: Equatable, Sendable {
    /// The `__metadata__` strings.
    public let metadata: [String: String]
    /// The tensors in the order of their data; tensors without bytes keep the header's order.
    public let tensors: [TensorInfo]
    /// Bytes before the data: the length field and the padded header.
    public let dataOffset: Int
    /// Bytes of all tensors together.
    public let dataByteCount: Int
    private let indexOfName: [String: Int]

    /// Bytes of the length field at the start of a file.
    static let lengthByteCount = 8
    /// The largest header that the format allows, in bytes.
    public static let byteCountLimit = 100_000_000

    /// Parses the start of a file, and checks it and the file's size against every rule of the format.
    ///
    /// - Parameters:
    ///   - bytes: the file's first bytes, at least up to the end of the header; more is ignored.
    ///   - fileSize: bytes of the whole file.
    ///   - file: named in errors only.
    /// - Throws: ``SafetensorsError``, the first rule that is broken in the order of the bytes.
    public init(parsing bytes: [UInt8], fileSize: Int, file: FilePath) throws(SafetensorsError) {
        let end = try Self.headerEnd(of: bytes, fileSize: fileSize, file: file)
        guard bytes.count >= end else { throw .truncated(file: file, expected: end, found: bytes.count) }
        if let offset = firstInvalidUTF8(in: bytes, Self.lengthByteCount..<end) {
            throw .header(file: file, problem: .notUTF8(offset: offset))
        }
        var parser = SafetensorsHeaderParser(
            scanner: JSONScanner(bytes, in: Self.lengthByteCount..<end),
            file: file
        )
        let entries = try parser.wholeHeader()
        let tensors = try Self.inDataOrder(entries.tensors, file: file)
        let dataByteCount = tensors.last?.byteRange.upperBound ?? 0
        let (expected, overflow) = end.addingReportingOverflow(dataByteCount)
        guard !overflow, expected <= fileSize else {
            throw .truncated(file: file, expected: overflow ? .max : expected, found: fileSize)
        }
        guard expected == fileSize else { throw .trailingBytes(file: file, expected: expected, found: fileSize) }
        self.metadata = entries.metadata
        self.tensors = tensors
        self.dataOffset = end
        self.dataByteCount = dataByteCount
        self.indexOfName = Dictionary(uniqueKeysWithValues: zip(tensors.map(\.name), tensors.indices))
    }

    /// The tensor of that name, or nil.
    public subscript(name: String) -> TensorInfo? {
        indexOfName[name].map { tensors[$0] }
    }

    /// The end of the header, from the first nine bytes of a file (fewer if the file is shorter).
    ///
    /// - Throws: ``SafetensorsError`` for an impossible length, before anything is read or allocated for it.
    static func headerEnd(of bytes: [UInt8], fileSize: Int, file: FilePath) throws(SafetensorsError) -> Int {
        do throws(SafetensorsError) {
            return try plainHeaderEnd(of: bytes, fileSize: fileSize, file: file)
        } catch .header(let file, let problem) {
            if let format = ForeignFormat(bytes) { throw .foreignFormat(file: file, format: format) }
            throw .header(file: file, problem: problem)
        }
    }

    private static func plainHeaderEnd(
        of bytes: [UInt8], fileSize: Int, file: FilePath
    ) throws(SafetensorsError) -> Int {
        if let pointer = GitLFSPointer(parsing: bytes) {
            throw .gitLFSPointer(file: file, byteCount: pointer.byteCount)
        }
        guard fileSize >= lengthByteCount, bytes.count >= lengthByteCount else {
            throw .truncated(file: file, expected: lengthByteCount, found: min(fileSize, bytes.count))
        }
        let length = (0..<lengthByteCount).reduce(UInt64(0)) { $0 | UInt64(bytes[$1]) << UInt64(8 * $1) }
        guard length <= UInt64(byteCountLimit) else {
            throw .header(file: file, problem: .tooLarge(byteCount: length, limit: byteCountLimit))
        }
        let available = fileSize - lengthByteCount
        guard Int(length) <= available else {
            throw .header(file: file, problem: .pastEnd(byteCount: Int(length), available: available))
        }
        guard length > 0 else { throw .header(file: file, problem: .notObject(firstByte: nil)) }
        guard bytes.count > lengthByteCount else {
            throw .truncated(file: file, expected: lengthByteCount + 1, found: bytes.count)
        }
        let start = bytes[lengthByteCount...].prefix(Int(length))
        guard let first = start.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }), first != UInt8(ascii: "{")
        else { return lengthByteCount + Int(length) }
        throw .header(file: file, problem: .notObject(firstByte: first))
    }

    /// Sorts tensors by their range and checks that each starts where the one before ends.
    private static func inDataOrder(_ tensors: [TensorInfo], file: FilePath) throws(SafetensorsError) -> [TensorInfo] {
        // Swift's sort is stable, so tensors without bytes keep the header's order.
        let sorted = tensors.sorted {
            ($0.byteRange.lowerBound, $0.byteRange.upperBound) < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
        }
        var end = 0
        var previous = ""
        for tensor in sorted {
            let range = tensor.byteRange
            if range.lowerBound > end {
                let hole = end..<range.lowerBound
                throw .tensor(file: file, name: tensor.name, problem: .followsHole(bytes: hole))
            }
            if range.lowerBound < end {
                let shared = range.lowerBound..<max(range.lowerBound, min(end, range.upperBound))
                throw .tensor(file: file, name: tensor.name, problem: .overlaps(other: previous, bytes: shared))
            }
            end = range.upperBound
            previous = tensor.name
        }
        return sorted
    }
}
