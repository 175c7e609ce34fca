import JSONText
import Safetensors
import SystemPackage

private let file: FilePath = "model.safetensors"

/// Reads bytes as the start of a safetensors file, and as JSON.
func takeHeader(_ bytes: [UInt8]) throws(BrokenPromise) {
    try takeJSON(bytes)
    var fileSize = bytes.count
    do {
        _ = try SafetensorsHeader(parsing: bytes, fileSize: fileSize, file: file)
    } catch .truncated(_, let expected, _) {
        // The header may be valid, and only its data missing: a file may be larger than any input.
        fileSize = max(fileSize, expected)
    } catch {}
    guard let header = try accepted({ try SafetensorsHeader(parsing: bytes, fileSize: fileSize, file: file) }) else {
        return
    }
    var end = 0
    for tensor in header.tensors {
        guard tensor.byteRange.lowerBound == end, tensor.byteCount == tensor.description.byteCount,
            header[tensor.name] == tensor
        else { throw BrokenPromise("the tensor \(tensor.name) of an accepted header is not where it says") }
        end = tensor.byteRange.upperBound
    }
    guard end == header.dataByteCount, header.dataOffset + end == fileSize else {
        throw BrokenPromise("the tensors of an accepted header end at \(end)")
    }
}

private func takeJSON(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let value = try accepted({ try JSONValue(parsing: bytes, file: file) }) else { return }
    let again = try accepted { try JSONValue(parsing: Array(value.text(indent: 2).utf8), file: file) }
    guard again == value else { throw BrokenPromise("JSON that was accepted changes when it is written") }
}
