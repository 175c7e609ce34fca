import FileAccess
import Foundation
import Identifiers
import JobPlan
import Publication
import TestSupport

@testable import Admission

/// A base, a model and captures of one task with one layer, written with a few lines of their own.
struct SmallInput {
    let directory: TemporaryDirectory
    let owner = ClaimOwner(coordinator: "0123456789abcdef", stateDirectory: "")

    /// Writes the files.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    init() throws {
        directory = try TemporaryDirectory()
        try write("base", ["fc.weight": [2, 3]])
        try write("model", ["fc.weight": [2, 3]], firstByte: 1)
        try writeCapture("rows")
    }

    /// Writes a capture of four samples.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    func writeCapture(_ name: String, metadata: [String: String] = [:]) throws {
        let common = ["format": "kfacd.capture/1", "samples": "4", "probes": "1"]
        try write(
            name, ["fc.input": [4, 3], "fc.output_grad": [4, 2]], firstByte: 2,
            metadata: common.merging(metadata) { $1 })
    }

    /// Writes a safetensors file of small numbers; a tensor's bytes count up from a number.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    func write(
        _ name: String, _ shapes: [String: [Int]], type: String = "F32", firstByte: UInt8 = 0,
        metadata: [String: String] = [:]
    ) throws {
        var (entries, payload): ([String], [UInt8]) = ([], [])
        if !metadata.isEmpty {
            let members = metadata.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
            entries.append("\"__metadata__\":{\(members.joined(separator: ","))}")
        }
        for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) {
            let count = shape.reduce(type == "F32" ? 4 : 1, *)
            entries.append(
                "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),"
                    + "\"data_offsets\":[\(payload.count),\(payload.count + count)]}")
            payload += (0..<count).map { firstByte &+ UInt8($0 % 64) }
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
        try directory.write(length + header + payload, to: "\(name).safetensors")
    }

    /// A job on the files, with the captures of some names.
    func job(base: String = "base", captures: [String] = ["rows"], outputs: String = "factors") -> Submission {
        let list = captures.map { "\($0).safetensors" }.joined(separator: ", ")
        return Submission(
            specText: """
                merge_method: task_arithmetic
                base_model: \(base).safetensors
                models:
                  - {name: t, model: model.safetensors, captures: [\(list)]}
                outputs: [\(outputs)]
                output: out
                """, specPath: directory.appending("job.yaml"), overwrites: false)
    }

    /// Checks a job in full.
    ///
    /// - Throws: `JobRefusal` with all problems.
    func admit(_ job: Submission) throws(JobRefusal) -> Job {
        try JobAdmission.admit(job, as: "job-1", roots: .unlimited, owner: owner)
    }

    /// Checks a job by its headers.
    ///
    /// - Throws: `JobRefusal` with all problems.
    func preview(_ job: Submission, workerMemories: [UInt64] = [1 << 40]) throws(JobRefusal) {
        try JobAdmission.preview(
            job, as: "job-1", roots: .unlimited, owner: owner, workerMemories: workerMemories)
    }

    /// The problems for which a check refuses a job, without the directory's path.
    func problems(of check: () throws(JobRefusal) -> Void) -> [String] {
        do throws(JobRefusal) {
            try check()
            return []
        } catch {
            return error.problems.map { $0.description.replacing("\(directory.path)/", with: "") }
        }
    }
}
