import Safetensors
import SystemPackage
import Testing

/// One hostile file for each test; the whole sentence is compared.
struct SafetensorsHeaderErrorTests {
    private let valid = #""dtype":"U8","shape":[2],"data_offsets":[0,2]"#

    @Test func `a file of seven bytes is truncated`() {
        #expect(
            parseError([2, 0, 0, 0, 0, 0, 0])
                == "x.safetensors: is truncated: it has 7 bytes; expected 8. Copy or download it again."
        )
    }

    @Test func `a header above the format's limit is refused before it is read`() {
        #expect(
            parseError([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7B])
                == "x.safetensors: announces a header of 18446744073709551615 bytes; expected at most 100000000. "
                + "It is not a safetensors file, or it is damaged."
        )
    }

    @Test func `a header longer than the file is refused`() {
        #expect(
            parseError([3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D])
                == "x.safetensors: announces a header of 3 bytes, but only 2 bytes follow. "
                + "It is truncated or not a safetensors file; copy or download it again."
        )
    }

    @Test func `a name without end is quoted by its start`() {
        let start = String(repeating: "n", count: 100)
        #expect(
            parseError(fileBytes("{\"\(start)\(start)\":{}}"))
                == "x.safetensors: tensor \"\(start)…\" has no \"dtype\"; expected \"dtype\", \"shape\" and "
                + "\"data_offsets\"."
        )
    }

    @Test func `an empty header is refused`() {
        #expect(parseError(fileBytes("")) == "x.safetensors: announces an empty header; expected at least \"{}\".")
    }

    @Test func `a header that does not start with a brace is refused`() {
        #expect(
            parseError(fileBytes(" []"))
                == "x.safetensors: its header starts with byte 91; expected \"{\" (123). It is not a safetensors file."
        )
    }

    @Test func `a header that is not UTF-8 is refused with the byte`() {
        var bytes = fileBytes(#"{"a":{}}"#)
        bytes[10] = 0xFF
        #expect(
            parseError(bytes) == "x.safetensors: its header is not UTF-8 at byte 10; expected JSON in UTF-8."
        )
    }

    @Test func `only white space may stand around the header's object`() {
        #expect(parseError(fileBytes("\n {} \n")) == nil)
        #expect(
            parseError(fileBytes("{} \0"))
                == "x.safetensors: something follows the header's object at byte 11; expected only spaces and line breaks "
                + "up to the data."
        )
    }

    @Test func `a second object after the header is refused`() {
        #expect(
            parseError(fileBytes("{}{}"))
                == "x.safetensors: something follows the header's object at byte 10; expected only spaces and line breaks "
                + "up to the data."
        )
    }

    @Test func `a header cut in the middle is refused with the byte`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype""#))
                == "x.safetensors: byte 21 is the end of the text; expected \":\"."
        )
    }

    @Test func `a missing comma is refused with the byte`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"U8" "shape""#))
                == "x.safetensors: byte 27 is \"\"\"; expected \",\" or \"}\"."
        )
    }

    @Test func `a control character inside a name is refused`() {
        #expect(
            parseError(fileBytes("{\"a\n\":{}}"))
                == "x.safetensors: byte 11 is byte value 10; expected no control character inside a string."
        )
    }

    @Test func `half a surrogate pair is refused`() {
        #expect(
            parseError(fileBytes(#"{"\ud83dx":{}}"#))
                == "x.safetensors: byte 16 is \"x\"; expected a surrogate pair."
        )
    }

    @Test func `an unknown escape is refused`() {
        #expect(
            parseError(fileBytes(#"{"\x":{}}"#))
                == #"x.safetensors: byte 11 is "x"; expected one of \" \\ \/ \b \f \n \r \t \u."#
        )
    }

    @Test func `an entry that is no object is refused`() {
        #expect(parseError(fileBytes(#"{"a":1}"#)) == "x.safetensors: byte 13 is \"1\"; expected \"{\".")
    }

    @Test func `metadata that is null is none`() {
        #expect(parseError(fileBytes(#"{"__metadata__":null}"#)) == nil)
    }

    @Test func `a metadata value that is no string is refused`() {
        #expect(
            parseError(fileBytes(#"{"__metadata__":{"n":1}}"#))
                == "x.safetensors: metadata \"n\" is not a string; expected every metadata value to be one."
        )
    }

    /// The reference reader keeps the last entry, as most JSON readers do.
    @Test func `of tensors and metadata of one name the last counts`() throws {
        let header = #"{"__metadata__":{"n":"1","n":"2"},"a":{"dtype":"U8","shape":[9],"data_offsets":[0,2]},"#
        let bytes = fileBytes(header + "\"\\u0061\":{\(valid)}}", dataByteCount: 2)
        let parsed = try SafetensorsHeader(parsing: bytes, fileSize: bytes.count, file: "x.safetensors")
        #expect(parsed.metadata == ["n": "2"])
        #expect(parsed.tensors.map(\.shape) == [[2]])
    }

    @Test func `a name that is another's text in other scalars is refused`() {
        #expect(
            parseError(fileBytes("{\"\u{E9}\":{\(valid)},\"e\u{301}\":{\(valid)}}", dataByteCount: 2))
                == "x.safetensors: tensor \"e\u{301}\" has the name of another tensor in other Unicode scalars; expected "
                + "names that can be told apart."
        )
    }

    @Test func `metadata that occurs twice is refused`() {
        #expect(
            parseError(fileBytes(#"{"__metadata__":{},"__metadata__":{}}"#))
                == "x.safetensors: the header names \"__metadata__\" twice; expected every key once."
        )
    }

    @Test func `a field that occurs twice is refused`() {
        #expect(
            parseError(fileBytes("{\"a\":{\(valid),\"shape\":[2]}}", dataByteCount: 2))
                == "x.safetensors: tensor \"a\" names \"shape\" twice; expected every key once."
        )
    }

    @Test func `an unknown field is read over`() {
        #expect(parseError(fileBytes("{\"a\":{\(valid),\"strides\":[1,{\"x\":null}]}}", dataByteCount: 2)) == nil)
        #expect(
            parseError(fileBytes("{\"a\":{\(valid),\"strides\":1e999}}", dataByteCount: 2))
                == "x.safetensors: byte 75 is 1e999; expected a number that is not infinite."
        )
    }

    @Test(arguments: ["dtype", "shape", "data_offsets"])
    func `a missing field is refused`(field: String) {
        let fields = ["dtype": #""dtype":"U8""#, "shape": #""shape":[2]"#, "data_offsets": #""data_offsets":[0,2]"#]
        let rest = fields.filter { $0.key != field }.values.joined(separator: ",")
        #expect(
            parseError(fileBytes("{\"a\":{\(rest)}}", dataByteCount: 2))
                == "x.safetensors: tensor \"a\" has no \"\(field)\"; expected \"dtype\", \"shape\" and \"data_offsets\"."
        )
    }

    @Test func `an unknown data type is refused with those that are known`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"F128","shape":[],"data_offsets":[0,16]}}"#, dataByteCount: 16))
                == "x.safetensors: tensor \"a\" has the data type \"F128\"; expected one of BOOL, F4, F6_E2M3, F6_E3M2, "
                + "U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, I16, U16, F16, BF16, I32, U32, F32, "
                + "C64, F64, I64, U64."
        )
    }

    @Test(arguments: ["-1", "2.0", "2e0", "-0"])
    func `an extent that is no whole number is refused as written`(text: String) {
        #expect(
            parseError(
                fileBytes("{\"a\":{\"dtype\":\"U8\",\"shape\":[\(text)],\"data_offsets\":[0,2]}}", dataByteCount: 2)
            )
                == "x.safetensors: tensor \"a\" has \(text) in \"shape\"; expected whole numbers that are not negative."
        )
    }

    @Test func `an offset of more than 63 bits is refused`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,9223372036854775808]}}"#))
                == "x.safetensors: tensor \"a\" has 9223372036854775808 in \"data_offsets\"; expected at most "
                + "9223372036854775807."
        )
    }

    @Test func `one offset is too few`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[2]}}"#, dataByteCount: 2))
                == "x.safetensors: tensor \"a\" has 1 data offsets; expected 2, a start and an end."
        )
    }

    @Test func `an end before the start is refused`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}}"#, dataByteCount: 2))
                == "x.safetensors: tensor \"a\" ends at byte 0, before its start at byte 2; expected the end last."
        )
    }

    @Test func `a shape whose product overflows is refused`() {
        let text = #"{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#
        #expect(
            parseError(fileBytes(text))
                == "x.safetensors: tensor \"a\" is U8 [4294967296, 4294967296], more bytes than can be counted in 63 bits."
        )
    }

    @Test func `a shape whose bits overflow is refused`() {
        let text = #"{"a":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,0]}}"#
        #expect(
            parseError(fileBytes(text))
                == "x.safetensors: tensor \"a\" is F64 [1152921504606846976], more bytes than can be counted in 63 bits."
        )
    }

    @Test func `packed elements that end inside a byte are refused`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#, dataByteCount: 2))
                == "x.safetensors: tensor \"a\" is F4 [3], which takes 12 bits; expected a whole number of bytes."
        )
    }

    @Test func `a size that disagrees with type and shape is refused with all of them`() {
        #expect(
            parseError(fileBytes(#"{"a":{"dtype":"F32","shape":[3,2],"data_offsets":[0,20]}}"#, dataByteCount: 20))
                == "x.safetensors: tensor \"a\" is F32 [3, 2], which takes 24 bytes, but its offsets enclose 20."
        )
    }

    @Test func `tensors that share bytes are refused`() {
        let text =
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#
        #expect(
            parseError(fileBytes(text, dataByteCount: 6))
                == "x.safetensors: tensor \"b\" shares bytes 2 to 4 of the data with tensor \"a\"; "
                + "expected tensors one after the other."
        )
    }

    @Test func `a hole between tensors is refused`() {
        let text =
            #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}}"#
        #expect(
            parseError(fileBytes(text, dataByteCount: 8))
                == "x.safetensors: tensor \"b\" follows bytes 2 to 6 of the data, which belong to no tensor; "
                + "expected tensors without holes between them."
        )
    }

    @Test func `data shorter than the header says is truncated`() {
        let bytes = fileBytes(#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#, dataByteCount: 5)
        #expect(
            parseError(bytes)
                == "x.safetensors: is truncated: it has 68 bytes; expected 75. Copy or download it again."
        )
    }

    @Test func `data whose end overflows is truncated`() {
        let largest = (1 << 60) - 1
        var entries = (0..<8).map { index in
            "\"\(index)\":{\"dtype\":\"U8\",\"shape\":[\(largest)],"
                + "\"data_offsets\":[\(index * largest),\((index + 1) * largest)]}"
        }
        entries.append("\"8\":{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[\(8 * largest),\(Int.max)]}")
        let bytes = fileBytes("{\(entries.joined(separator: ","))}")
        #expect(
            parseError(bytes)
                == "x.safetensors: is truncated: it has \(bytes.count) bytes; expected \(Int.max). "
                + "Copy or download it again."
        )
    }

    @Test func `bytes after the last tensor are refused`() {
        #expect(
            parseError(fileBytes("{\"a\":{\(valid)}}", dataByteCount: 3))
                == "x.safetensors: has 64 bytes; expected 63, the end of its last tensor. Copy or download it again."
        )
    }

    @Test func `a git-LFS pointer is recognised with the size that it names`() {
        let text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4976698672\n"
        #expect(
            parseError(Array(text.utf8))
                == "x.safetensors: is a git-LFS pointer to 4976698672 bytes, not the data itself; expected a safetensors "
                + "file. Run `git lfs pull` where it was cloned, or download the file."
        )
    }

    @Test func `a million brackets cannot exhaust the stack`() {
        let text = #"{"a":{"dtype":"U8","shape":"# + String(repeating: "[", count: 1_000_000)
        #expect(parseError(fileBytes(text)) == "x.safetensors: byte 36 is \"[\"; expected a digit.")
    }
}
