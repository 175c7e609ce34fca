import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// The reference implementation reads our files, and we read its files.
@Suite(.timeLimit(.minutes(5)))
struct PythonInteroperabilityTests {
    @Test(.enabled(if: Python.hasSafetensors, Python.reason))
    func `the reference implementation reads our file and writes the same bytes`() throws {
        let directory = try TemporaryDirectory()
        let path = FilePath(directory.appending("ours.safetensors"))
        let tensors = [
            TensorDescription(name: "w", dataType: .float32, shape: [2, 3]),
            TensorDescription(name: "ü", dataType: .int32, shape: [2]),
            TensorDescription(name: "s", dataType: .float16, shape: []),
        ]
        let writer = try SafetensorsWriter(path: path, tensors: tensors, metadata: ["k": "v \"q\" é"])
        let (matrix, integers, half): ([Float], [Int32], [UInt16]) = ([1, -2, 0.5, 3, 4, 1e30], [-7, 9], [0x3C00])
        try writer.write(matrix.span.bytes, to: "w")
        try writer.write(integers.span.bytes, to: "ü")
        try writer.write(half.span.bytes, to: "s")
        try writer.finish()
        let script = """
            import sys, numpy as np
            from safetensors import safe_open
            from safetensors.numpy import load_file, save_file
            t = load_file(sys.argv[1])
            with safe_open(sys.argv[1], "np") as f: m = f.metadata()
            assert m == {"k": 'v "q" é'}, m
            assert t["w"].dtype == np.float32 and np.array_equal(t["w"], np.array([[1,-2,.5],[3,4,1e30]], np.float32))
            assert t["ü"].dtype == np.int32 and list(t["ü"]) == [-7, 9]
            assert t["s"].shape == () and t["s"] == np.float16(1)
            save_file({"w": t["w"], "ü": t["ü"], "s": t["s"]}, sys.argv[2], metadata=m)
            print("ok")
            """
        let result = try Python.run(script, path.string, directory.appending("theirs.safetensors"))
        #expect(result.output == "ok\n")
        // The reference orders tensors by falling alignment, then by name: "w" before "ü", as in our list.
        #expect(try directory.read("theirs.safetensors") == directory.read("ours.safetensors"))
    }

    @Test(.enabled(if: Python.hasSafetensors, Python.reason))
    func `a file of the reference implementation is read`() throws {
        let directory = try TemporaryDirectory()
        let script = """
            import sys, numpy as np
            from safetensors.numpy import save_file
            save_file({"b": np.arange(6, dtype=np.uint8).reshape(2, 3), "i": np.array([-1], np.int64),
                       "e": np.zeros((0, 4), np.float64)}, sys.argv[1], metadata={"x": "y"})
            """
        let path = directory.appending("theirs.safetensors")
        #expect(try Python.run(script, path).status == 0)
        let file = try SafetensorsFile(opening: FilePath(path))
        #expect(file.header.metadata == ["x": "y"])
        #expect(try file.bytes(of: "b", count: 6) == [0, 1, 2, 3, 4, 5])
        #expect(try file.bytes(of: "i", count: 8) == [UInt8](repeating: 0xFF, count: 8))
        #expect(file.header["e"]?.shape == [0, 4])
    }
}
