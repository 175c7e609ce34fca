import Safetensors
import SystemPackage

/// A safetensors file as bytes: the length field, the header's text, and data bytes that count up from 0.
func fileBytes(_ header: String, dataByteCount: Int = 0) -> [UInt8] {
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
    return length + Array(header.utf8) + (0..<dataByteCount).map { UInt8(truncatingIfNeeded: $0) }
}

/// Parses a file's bytes as `x.safetensors` and returns the error's sentence, or nil if there is none.
func parseError(_ bytes: [UInt8], fileSize: Int? = nil) -> String? {
    do throws(SafetensorsError) {
        _ = try SafetensorsHeader(parsing: bytes, fileSize: fileSize ?? bytes.count, file: "x.safetensors")
        return nil
    } catch {
        return error.description
    }
}
