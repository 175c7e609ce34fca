import Foundation
import Identifiers
import JobFiles
import LinearAlgebra
import SystemPackage
import TestSupport
import Testing

/// numpy reads our factor files, and we read captures from numpy.
@Suite(.timeLimit(.minutes(5)))
struct PythonFactorsTests {
    @Test(.enabled(if: Python.hasSafetensors, Python.reason))
    func `numpy reads symmetric factors and their metadata`() throws {
        let directory = try TemporaryDirectory()
        let name = CurvatureTensorName(owner: "p", side: .full)
        let metadata = FactorsMetadata(task: "t", sampleCounts: .each(["p": 5]), normalization: "tak")
        let writer = try CurvatureWriter(
            directory: FilePath(directory.path),
            kind: .factors,
            entries: [.init(name, dimension: 40)],
            metadata: metadata.strings
        )
        let elements = (0..<820).map { Float($0) }
        try writer.write(PackedSymmetricMatrix(dimension: 40, elements: elements), to: name)
        try writer.finish()
        let script = """
            import sys, json, numpy as np
            from safetensors import safe_open
            with safe_open(sys.argv[1], "np") as f: m, t = f.metadata(), f.get_tensor("p.F")
            e = np.zeros((40, 40), np.float32); e[np.tril_indices(40)] = np.arange(820)
            assert np.array_equal(t, np.tril(e) + np.tril(e, -1).T)
            assert m["format"] == "kfacd.factors/1" and json.loads(m["samples"]) == {"p": 5} and m["storage"] == "full"
            print("ok")
            """
        #expect(try Python.run(script, directory.appending("factors.safetensors")).output == "ok\n")
    }

    @Test(.enabled(if: Python.hasSafetensors, Python.reason))
    func `a capture of numpy is read in half precision`() throws {
        let directory = try TemporaryDirectory()
        let script = """
            import sys, numpy as np
            from safetensors.numpy import save_file
            a = np.array([[1, -0.5, 65504], [6e-8, 0.333, -2]], np.float16)
            save_file({"l.input": a, "l.output_grad": a[:, :1].copy()}, sys.argv[1], metadata={"samples": "2"})
            print(" ".join(str(int(x)) for x in a.astype(np.float32).view(np.uint32).ravel()))
            """
        let path = directory.appending("c.safetensors")
        let result = try Python.run(script, path)
        let set = try CaptureSet(opening: [FilePath(path)])
        var matrix = try Matrix<Float>(rows: 2, columns: 3)
        try set.readRows(try #require(set.layers.first).input, 0..<2, into: &matrix)
        #expect(matrix.elements.map { String($0.bitPattern) }.joined(separator: " ") + "\n" == result.output)
    }
}
