import Foundation
import Testing

/// A safetensors file that a test writes and reads with a few lines of its own, not with those under test.
struct TensorFile {
    var tensors: [Tensor]
    var metadata: [String: String] = [:]

    init(_ tensors: [Tensor], metadata: [String: String] = [:]) {
        (self.tensors, self.metadata) = (tensors, metadata)
    }

    /// Reads a file.
    ///
    /// - Throws: what Foundation or the requirement throws when it is not a safetensors file.
    init(reading path: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try #require(
            try JSONSerialization.jsonObject(with: data.subdata(in: 8..<8 + length)) as? [String: [String: Any]])
        metadata = header["__metadata__"] as? [String: String] ?? [:]
        tensors = try header.filter { $0.key != "__metadata__" }.map { name, entry in
            let type = try #require((entry["dtype"] as? String).flatMap(Tensor.ElementType.init))
            let range = try #require(entry["data_offsets"] as? [Int])
            let bytes = data.subdata(in: 8 + length + range[0]..<8 + length + range[1])
            return Tensor(name, type, try #require(entry["shape"] as? [Int]), bytes: bytes)
        }.sorted { $0.name < $1.name }
    }

    /// The tensor of a name.
    ///
    /// - Throws: what the requirement throws when the tensor does not exist.
    func tensor(_ name: String) throws -> Tensor {
        try #require(tensors.first { $0.name == name }, "no tensor \(name) among \(tensors.map(\.name))")
    }

    /// The file's bytes.
    var bytes: Data {
        var entries: [String] = []
        if !metadata.isEmpty {
            let members = metadata.sorted { $0.key < $1.key }.map { key, value in
                "\"\(key)\":\"\(value.replacing("\"", with: "\\\""))\""
            }
            entries.append("\"__metadata__\":{\(members.joined(separator: ","))}")
        }
        var (payload, offset) = (Data(), 0)
        for tensor in tensors {
            let end = offset + tensor.bytes.count
            entries.append(
                "\"\(tensor.name)\":{\"dtype\":\"\(tensor.elementType.rawValue)\",\"shape\":\(tensor.shape),"
                    + "\"data_offsets\":[\(offset),\(end)]}")
            payload.append(tensor.bytes)
            offset = end
        }
        return Self.bytes(header: "{\(entries.joined(separator: ","))}", payload: payload)
    }

    /// A file with any header, correct or not.
    static func bytes(header: String, length: UInt64? = nil, payload: Data = Data()) -> Data {
        let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        var count = length ?? UInt64(padded.utf8.count)
        return Data(bytes: &count, count: 8) + Data(padded.utf8) + payload
    }

    /// Writes the file, and creates the directories above it.
    ///
    /// - Throws: what Foundation throws when the file cannot be written.
    func write(to path: String) throws {
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try bytes.write(to: url)
    }
}

/// ‖x − y‖ / ‖y‖.
func relativeDistance(_ found: [Double], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let squares = zip(found, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let norm = expected.reduce(0) { $0 + $1 * $1 }
    return squares == 0 ? 0 : (squares / norm).squareRoot()
}
