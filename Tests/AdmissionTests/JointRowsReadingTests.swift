import JobFiles
import SystemPackage
import TestSupport
import Testing

@testable import Admission

/// Joint rows that contradict the factor file that holds them.
@Suite struct JointRowsReadingTests {
    private static let shapes = [
        "l.A": [3, 3], "l.B": [2, 2], "n.F": [4, 4], "l.input_rows": [5, 2, 3], "l.input_squares": [2],
        "l.gradient_rows": [7, 2, 2], "l.gradient_squares": [2], "n.gradient_rows": [7, 4], "n.gradient_squares": [1],
        "input_rows": [5], "input_squares": [1],
    ]

    private func problems(_ changes: [String: [Int]]) throws -> [String] {
        let input = try SmallInput()
        let strings = [
            "format": "kfacd.factors/1", "samples": "4",
            "joint_rows": #"{"ranks":{"inputs":5,"gradients":7},"kept":{"inputs":0.5,"gradients":1}}"#,
        ]
        try input.write(
            "set", Self.shapes.merging(changes) { $1 },
            metadata: strings.mapValues { $0.replacing("\"", with: "\\\"") })
        let path = FilePath(input.directory.appending("set.safetensors"))
        let set = try CurvatureSet(opening: path, as: .factors)
        let metadata = try FactorsMetadata(parsing: strings, file: path)
        let check = try #require(JointRowsContradictions(set, metadata))
        return check.problems.map { $0.replacing("\(path): ", with: "") }
    }

    @Test func `a file with the rows of its own factors is read`() throws {
        #expect(try problems([:]) == [])
    }

    @Test func `rows of no layer or parameter of the file are refused by name`() throws {
        let remedy = "Make the factors again from the rows."
        #expect(
            try problems(["m.gradient_rows": [7, 2, 2]]) == [
                "tensor \"m.gradient_rows\" belongs to \"m\", of which the files hold no factors. \(remedy)"
            ])
        #expect(
            try problems(["m.gradient_rows": [7, 2, 2], "m.gradient_squares": [2]]) == [
                "tensor \"m.gradient_rows\" belongs to \"m\", of which the files hold no factors (1 more are like it). "
                    + remedy
            ])
        #expect(
            try problems(["n.input_rows": [5]]) == [
                "tensor \"n.input_rows\" belongs to the parameter \"n\", which has no inputs; expected the constant's "
                    + "\"input_rows\" alone. \(remedy)"
            ])
        #expect(
            try problems(["gradient_squares": [1]]) == [
                "tensor \"gradient_squares\" belongs to no layer or parameter. \(remedy)"
            ])
    }

    @Test(arguments: [("l.gradient_rows", [6, 2, 2], 7, "gradients"), ("input_rows", [4], 5, "inputs")])
    func `rows of another number than the metadata states are refused`(
        name: String, shape: [Int], rank: Int, side: String
    ) throws {
        #expect(
            try problems([name: shape]) == [
                "tensor \"\(name)\" has the shape \(shape); expected \(rank) rows, as \"ranks\" of the metadata \"joint_rows\" "
                    + "states of the \(side). Make the factors again from the rows."
            ])
    }

    @Test func `a layer has as many positions of inputs as of gradients`() throws {
        #expect(
            try problems(["l.gradient_rows": [7, 3, 2], "l.gradient_squares": [3]]) == [
                "layer \"l\" has 2 positions in \"l.input_rows\", but 3 in \"l.gradient_rows\"; expected one number. Make the "
                    + "factors again from the rows."
            ])
    }
}
