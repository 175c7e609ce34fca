import Safetensors
import SystemPackage
import Testing

/// Headers that the format allows.
struct SafetensorsHeaderTests {
    @Test func `a header gives metadata and tensors in the order of their data`() throws {
        let text = #"""
            { "b":{"data_offsets":[4, 10],"shape":[3],"dtype":"F16"}, "__metadata__":{"k":"v","é\n":"\u00e9\ud83d\ude00"},
              "a" : {"dtype":"F32","shape":[],"data_offsets":[0,4]}}
            """#
        let bytes = fileBytes(text + "   ", dataByteCount: 10)
        let header = try SafetensorsHeader(parsing: bytes, fileSize: bytes.count, file: "x")
        #expect(header.metadata == ["k": "v", "é\n": "é😀"])
        #expect(header.tensors.map(\.name) == ["a", "b"])
        #expect(header["a"]?.shape == [])
        #expect(header["b"]?.byteRange == 4..<10)
        #expect(header["b"]?.dataType == .float16)
        #expect(header["c"] == nil)
        #expect(header.dataOffset == bytes.count - 10)
        #expect(header.dataByteCount == 10)
    }

    @Test func `a file without tensors is a file`() throws {
        let header = try SafetensorsHeader(parsing: fileBytes("{}"), fileSize: 10, file: "x")
        #expect(header.tensors.isEmpty)
    }

    @Test func `tensors of no bytes may stand anywhere`() {
        let text =
            #"{"a":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},"#
            + #""b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"c":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}"#
        #expect(parseError(fileBytes(text, dataByteCount: 2)) == nil)
    }

    @Test(arguments: [("F4", 6, 3), ("F6_E2M3", 4, 3), ("F6_E3M2", 8, 6)])
    func `packed elements are counted in bits`(type: String, elementCount: Int, byteCount: Int) {
        let text = #"{"a":{"dtype":"\#(type)","shape":[\#(elementCount)],"data_offsets":[0,\#(byteCount)]}}"#
        #expect(parseError(fileBytes(text, dataByteCount: byteCount)) == nil)
    }

    @Test func `every type of the format is known by its name and size`() {
        // Names and bits from the Dtype enumeration of safetensors 0.8.
        let expected = [
            "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
            "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
            "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
        ]
        #expect(
            Dictionary(uniqueKeysWithValues: TensorDataType.allCases.map { ($0.rawValue, $0.bitCount) }) == expected
        )
    }
}
