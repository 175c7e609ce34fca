import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// One wrong factor file for each test; the whole sentence is compared.
struct CurvatureErrorTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func message(
        _ tensors: [TestTensor],
        _ metadata: [String: String] = [:],
        as kind: JobFileKind = .factors
    ) throws -> String? {
        let path = try directory.write("f.safetensors", metadata, tensors)
        return errorMessage { () throws(JobFileError) in _ = try CurvatureSet(opening: path, as: kind) }?
            .replacing("\(directory.path)/", with: "")
    }

    @Test func `another format is refused`() throws {
        #expect(
            try message([], ["format": "kfacd.inverses/1"])
                == "f.safetensors: is of the format \"kfacd.inverses/1\"; expected \"kfacd.factors/1\". "
                + "Name another, or restore it if it is damaged."
        )
    }

    @Test func `a tensor of no side is refused`() throws {
        #expect(
            try message([TestTensor("l.V", [2, 2])])
                == "f.safetensors: tensor \"l.V\" does not belong in a file of kind factors; expected \"<layer>.A\", "
                + "\"<layer>.B\" and \"<parameter>.F\". Rename it, or leave it out."
        )
    }

    @Test func `a factor among inverses is refused`() throws {
        #expect(
            try message([TestTensor("p.F", [2, 2])], as: .inverses)
                == "f.safetensors: tensor \"p.F\" does not belong in a file of kind inverses; expected \"<layer>.A_inv\", "
                + "\"<layer>.B_inv\" and \"<parameter>.F_inv\". Rename it, or leave it out."
        )
    }

    @Test(arguments: [[2, 3], [5], [0, 0], [], [2, 2, 2]])
    func `a shape that is no square and no triangle is refused`(shape: [Int]) throws {
        #expect(
            try message([TestTensor("p.F", shape)])
                == "f.safetensors: tensor \"p.F\" has the shape \(shape); expected a square [n, n], or a packed triangle "
                + "[n(n + 1)/2]; a diagonal [n] is stated by \"diagonal\". Write the file again."
        )
    }

    @Test func `half precision is refused`() throws {
        #expect(
            try message([TestTensor("p.F", [2, 2], zeros: .float16)])
                == "f.safetensors: tensor \"p.F\" holds F16; expected F32 or F64. Write the file again."
        )
    }

    @Test func `a layer needs both sides`() throws {
        #expect(
            try message([TestTensor("l.A", [2, 2]), TestTensor("m.B", [2, 2])]) == """
                f.safetensors: tensor "l.B" is missing; expected it beside the others. Write the file again with it.
                f.safetensors: tensor "m.A" is missing; expected it beside the others. Write the file again with it.
                """
        )
    }

    @Test func `an unsymmetric matrix is refused with an element`() throws {
        let path = try directory.write("f.safetensors", [:], [TestTensor("p.F", [2, 2]) { [1, 2, 3, 4][$0] }])
        let set = try CurvatureSet(opening: path, as: .factors)
        #expect(
            errorMessage { () throws(JobFileError) in _ = try set.readFloat(.init(owner: "p", side: .full)) }
                == "\(path): tensor \"p.F\": is 3.0 at (1, 0) but 2.0 at (0, 1); expected a symmetric matrix. Store both "
                + "triangles, or compute the factor again."
        )
    }

    @Test(
        arguments: [
            ([-1, 0, 0, 1], "the diagonal element of row 0 is -1.0; expected a sum of squares"),
            (
                [1, 2, 2, 1],
                "has an eigenvalue below −1e-05 of its trace (2.0); expected a positive semi-definite matrix."
            ),
            ([1, 0, .nan, 1], "row 1 holds NaN or infinity, first in column 0; expected finite values."),
            ([0, 1, 1, 0], "has an eigenvalue below −1e-05 of its trace (0.0)"),
        ] as [([Float], String)])
    func `a matrix that is no sum of squares is refused`(elements: [Float], problem: String) throws {
        let path = try directory.write("f.safetensors", [:], [TestTensor("p.F", [2, 2]) { elements[$0] }])
        let set = try CurvatureSet(opening: path, as: .factors)
        let message = errorMessage { () throws(JobFileError) in _ = try set.readFloat(.init(owner: "p", side: .full)) }
        #expect(message?.hasPrefix("\(path): tensor \"p.F\": \(problem)") == true, "\(message ?? "nothing")")
    }

    @Test func `rounding differences between the triangles are no asymmetry`() throws {
        let path = try directory.write("f.safetensors", [:], [TestTensor("p.F", [2, 2]) { [1, 1e-7, 2e-7, 1][$0] }])
        let set = try CurvatureSet(opening: path, as: .factors)
        #expect(try set.readFloat(.init(owner: "p", side: .full)).elements == [1, 2e-7, 1])
    }

    @Test func `an unknown matrix is refused`() throws {
        let path = try directory.write("f.safetensors", [:], [TestTensor("p.F", [1, 1])])
        let set = try CurvatureSet(opening: path, as: .factors)
        #expect(
            errorMessage { () throws(JobFileError) in _ = try set.readFloat(.init(owner: "q", side: .full)) }
                == "\(path): tensor \"q.F\" is missing; expected it beside the others. Write the file again with it."
        )
    }
}
