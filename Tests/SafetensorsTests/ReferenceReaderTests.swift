import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// We load the headers that the reference reader loads, and refuse those that it refuses.
@Suite(.enabled(if: Python.hasSafetensors, "needs Python with safetensors; see KFACD_PYTHON"))
struct ReferenceReaderTests {
    /// Headers at the limits of the format; `@` stands for a tensor's usual entry.
    private static let borders: [String] = [
        "{}", "", "[]", "null", " {}", "\n\t{}", "{}  ", "{}\n\t\r ", "{}\0", "{}x", "{}{}", "\u{FEFF}{}", "{@}",
        "{@,}",
        "{@ } ", "{@}\n", #"{"__metadata__":null}"#, #"{"__metadata__":{}}"#, #"{"__metadata__":{"k":"v","k":"w"},@}"#,
        #"{"__metadata__":{"k":1}}"#, #"{"__metadata__":{"k":null}}"#, #"{"__metadata__":[]}"#,
        #"{"__metadata__":{"k":"v"},"__metadata__":{"k":"v"}}"#, #"{@,"__metadata__":{"é":"\u00e9\ud83d\ude00"}}"#,
        #"{"a":{"dtype":"F32","shape":[7],"data_offsets":[0,4]},@}"#, "{@,@}", #"{@,"a":{"dtype":"F32"}}"#,
        #"{"a":["F32",[1],[0,4]]}"#, #"{"a":["F32",[1]]}"#, #"{"a":["F32",[1],[0,4],1]}"#, #"{"a":null}"#,
        #"{"a":"x"}"#,
        #"{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, #"{"a\u0000":["F32",[1],[0,4]]}"#,
        #"{"\ud800":["F32",[1],[0,4]]}"#, #"{"\ud83d\ude00":["F32",[1],[0,4]]}"#, #"{"a\x":["F32",[1],[0,4]]}"#,
        "{\"a\u{1}\":[\"F32\",[1],[0,4]]}", "{\"a\u{7F}\":[\"F32\",[1],[0,4]]}",
    ]

    /// Entries of one tensor at the limits.
    private static let entries: [String] =
        [
            #""shape":[1],"data_offsets":[0,4]"#, #""dtype":"F32","data_offsets":[0,4]"#, #""dtype":"F32","shape":[1]"#,
            #""dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]"#,
            #""dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]"#,
            #""dtype":{"F32":1},"shape":[1],"data_offsets":[0,4]"#,
            #""dtype":null,"shape":[1],"data_offsets":[0,4]"#, #""dtype":"f32","shape":[1],"data_offsets":[0,4]"#,
        ]
        + [
            "1", "\"s\"", "null", "true", "tru", "{\"y\":[1,{}]}", "1e999", "-1e-999", "01", "[1,]",
            "{\"y\":1,\"y\":2}",
        ].map {
            #""dtype":"F32","shape":[1],"data_offsets":[0,4],"x":\#($0)"#
        }
        + [100, 124, 125, 126, 127, 200].map {
            #""dtype":"F32","shape":[1],"data_offsets":[0,4],"x":"#
                + String(repeating: "[", count: $0) + String(repeating: "]", count: $0)
        }
        + [
            "[]", "[1.0]", "[1e0]", "[-0]", "[01]", "[-1]", "[1,1]", "[0]", "[4611686018427387904,2,0]",
            "[4611686018427387904,4,0]", "[0,4611686018427387904]", "[4611686018427387904]", "[18446744073709551616]",
            "{}", "null", "[[1]]", "[1,]", "[\"1\"]",
        ].map { #""dtype":"F32","shape":\#($0),"data_offsets":[0,4]"# }
        + [
            "[0,4,4]", "[0]", "[4,0]", "[4,8]", "[0,8]", "[-0,4]", "[0.0,4]",
            "[9223372036854775807,9223372036854775807]",
        ]
        .map { #""dtype":"F32","shape":[1],"data_offsets":\#($0)"# }

    /// Every data type that either reader might know, with whole bytes and with a partial byte.
    private static let types: [String] =
        (TensorDataType.allCases.map(\.rawValue) + ["C128", "U4", "I4", "F8", "F128", "BF8", "STRING"]).flatMap {
            type in
            [1, 2, 3, 4, 8].map { count in
                let bits = TensorDataType(rawValue: type)?.bitCount ?? 8
                return #"{"a":{"dtype":"\#(type)","shape":[\#(count)],"data_offsets":[0,\#(count * bits / 8)]}}"#
            }
        }

    private static let usual = #""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#

    /// Two tensors at all positions in four bytes: gaps, overlaps, empty ones, any order.
    private static let places: [String] = (0...3).flatMap { start in
        (start...4).flatMap { end in
            ["a", "c"].map { name in
                #"{"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},"#
                    + #""\#(name)":{"dtype":"U8","shape":[\#(end - start)],"data_offsets":[\#(start),\#(end)]}}"#
            }
        }
    }

    private func files() -> [[UInt8]] {
        let headers =
            Self.borders.map { $0.replacingOccurrences(of: "@", with: Self.usual) }
            + Self.entries.map { "{\"a\":{\($0)}}" }
        var files = headers.flatMap {
            [fileBytes($0), fileBytes($0, dataByteCount: 4), fileBytes($0, dataByteCount: 5)]
        }
        files += Self.types.flatMap { header in
            [0, 1, 2, 3, 4, 8, 16, 32, 64].map { fileBytes(header, dataByteCount: $0) }
        }
        files += Self.places.map { fileBytes($0, dataByteCount: 4) }
        files += [[], [1], Array(repeating: 0, count: 8), Array(repeating: 0xFF, count: 9)]
        let valid = fileBytes(
            #"{"__metadata__":{"n":"\u00e9"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24],"x":[1,null]},"#
                + #""b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}}  "#, dataByteCount: 28)
        var random = SplitMix64(seed: 27)
        let characters = Array("0123456789-.eE[]{},:\"\\u \n".utf8)
        for _ in 0..<2000 {
            var bytes = valid
            for _ in 0...Int(random.next() % 2) {
                let place = 8 + Int(random.next() % UInt64(bytes.count - 8 - 28))
                let character = characters[Int(random.next() % UInt64(characters.count))]
                bytes[place] = random.next() % 8 == 0 ? UInt8(truncatingIfNeeded: random.next()) : character
            }
            files.append(bytes)
        }
        return files
    }

    private static let script = """
        import os, sys
        from safetensors import safe_open
        for i in range(int(sys.argv[2])):
            try:
                with safe_open(os.path.join(sys.argv[1], str(i)), "np") as f:
                    print("+" + ",".join(sorted(k.encode().hex() for k in f.keys())))
            except Exception as error:
                print("-" + type(error).__name__)
        """

    @Test func `the same files are loaded and refused`() throws {
        let directory = try TemporaryDirectory()
        let files = files()
        for (index, bytes) in files.enumerated() {
            try Data(bytes).write(to: URL(fileURLWithPath: directory.appending("\(index)")))
        }
        let result = try Python.run(Self.script, directory.path, "\(files.count)")
        let verdicts = result.output.split(separator: "\n", omittingEmptySubsequences: true)
        try #require(verdicts.count == files.count)
        var loaded = 0
        for (bytes, verdict) in zip(files, verdicts) {
            let text = String(decoding: bytes.dropFirst(8), as: UTF8.self)
            do throws(SafetensorsError) {
                let header = try SafetensorsHeader(parsing: bytes, fileSize: bytes.count, file: "x")
                let names = header.tensors.map {
                    $0.name.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                }
                #expect("+" + names.sorted().joined(separator: ",") == verdict, "\(text)")
                loaded += 1
            } catch {
                #expect(verdict.first == "-", "\(text)\n\(error)")
            }
        }
        #expect(loaded > 100)
    }
}
