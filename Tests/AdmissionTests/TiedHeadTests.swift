import Foundation
import JobPlan
import TestSupport
import Testing

@testable import Admission

/// Output heads that some models tie to their embedding, and others do not.
@Suite struct TiedHeadTests {
    private let input: SmallInput
    private static let silent = #"{"model_type": "gpt2"}"#

    init() throws { input = try SmallInput() }

    /// Writes a model with an embedding, a head unless it is `nil`, and a configuration.
    private func write(
        _ name: String, embedding: Float, head: Float?, _ configuration: String = silent, halvesHead: Bool = false
    ) throws {
        let directory = input.directory.appending(name)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        var (entries, payload): ([String], [UInt8]) = ([], [])
        let tensors = [("h.0.weight", embedding + 1), ("lm_head.weight", head), ("wte.weight", embedding)]
        for (name, first) in tensors {
            guard let first else { continue }
            let start = payload.count
            for element in 0..<6 {
                let value = first + Float(element)
                if halvesHead, name == "lm_head.weight" {
                    payload += withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian, Array.init)
                } else {
                    payload += withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
                }
            }
            let type = halvesHead && name == "lm_head.weight" ? "BF16" : "F32"
            entries.append(
                #""\#(name)":{"dtype":"\#(type)","shape":[3,2],"data_offsets":[\#(start),\#(payload.count)]}"#)
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init)
        try input.directory.write(length + header + payload, to: "\(name)/model.safetensors")
        try input.directory.write(Array(configuration.utf8), to: "\(name)/config.json")
    }

    private func plan(
        base: String?, _ models: [String], _ method: String = "task_arithmetic", _ lines: String...
    ) throws -> JobPlan {
        let text =
            ["merge_method: \(method)"] + (base.map { ["base_model: \($0)"] } ?? [])
            + ["models: [\(models.map { "{model: \($0)}" }.joined(separator: ", "))]", "output: out"] + lines
        return try input.admit(
            Submission(
                specText: text.joined(separator: "\n"), specPath: input.directory.appending("job.yaml"),
                overwrites: false)
        ).plan
    }

    private func notices(_ plan: JobPlan) -> [String] {
        plan.notices.map { $0.description.replacing("\(input.directory.path)/", with: "") }
            .filter { $0.contains("lm_head") }
    }

    private static let apart =
        "The merged model has both, merged apart, and its config.json says \"tie_word_embeddings\": false. "

    @Test(arguments: [silent, #"{"tie_word_embeddings": true}"#])
    func `a model with another head than the base's second copy is merged apart with a notice`(
        configuration: String
    ) throws {
        try write("base", embedding: 1, head: 1, configuration)
        try write("tied", embedding: 2, head: 2, configuration)
        try write("free", embedding: 2, head: 5, configuration)
        let apart = try plan(base: "base", ["tied", "free"])
        #expect(
            notices(apart) == [
                "free: the model of task \"free\" has a \"lm_head.weight\" of its own, which the base ties to \"wte.weight\". "
                    + Self.apart + "To keep it tied, add \"lm_head.weight\" to \"ignore\"."
            ])
        #expect(apart.inventory.base.heads == ["lm_head.weight": "wte.weight"])
        #expect(notices(try plan(base: "base", ["tied"])) == [])
        let kept = try plan(base: "base", ["tied", "free"], "task_arithmetic", "ignore: [lm_head.weight]")
        #expect(kept.inventory.base.heads.isEmpty)
    }

    /// How a tied model holds its one weight.
    private static let forms: [Float?] = [nil, 1]

    @Test(arguments: forms, [silent, #"{"tie_word_embeddings": true}"#])
    func `without a base the order of a tied and an untied model decides nothing`(
        head: Float?, configuration: String
    ) throws {
        try write("tied", embedding: 1, head: head, configuration)
        try write("free", embedding: 2, head: 5, configuration)
        for models in [["tied", "free"], ["free", "tied"]] {
            let plan = try plan(base: nil, models, "linear", "parameters: {weight: 0.5}")
            #expect(plan.inventory.base.heads == ["lm_head.weight": "wte.weight"], "\(models)")
            #expect(
                plan.inventory.base.tensors.keys.sorted() == ["h.0.weight", "lm_head.weight", "wte.weight"],
                "\(models)")
            #expect(notices(plan).contains { $0.contains("merged apart") }, "\(models): \(notices(plan))")
        }
    }

    @Test func `a base with a head of its own says which model ties it`() throws {
        try write("base", embedding: 1, head: 4)
        try write("free", embedding: 2, head: 5)
        try write("tied", embedding: 2, head: 2)
        #expect(notices(try plan(base: "base", ["free"])) == [])
        #expect(
            notices(try plan(base: "base", ["free", "tied"])) == [
                "tied: the model of task \"tied\" ties \"lm_head.weight\" to \"wte.weight\", and the base holds both. "
                    + Self.apart + "To keep the base's, add \"lm_head.weight\" to \"ignore\"."
            ])
    }

    @Test func `a model that denies the tie and lacks its head is refused in any order`() throws {
        let denied = #"{"tie_word_embeddings": false}"#
        try write("lacking", embedding: 1, head: nil, denied)
        try write("free", embedding: 2, head: 5, denied)
        for models in [["lacking", "free"], ["free", "lacking"]] {
            #expect(throws: JobRefusal.self, "\(models)") {
                try plan(base: nil, models, "linear", "parameters: {weight: 0.5}")
            }
        }
    }

    @Test func `a head of another type is the model's own in any order`() throws {
        try write("tied", embedding: 1, head: nil)
        try write("free", embedding: 2, head: 5, halvesHead: true)
        let heads = [["tied", "free"], ["free", "tied"]].map { models in
            try? plan(base: nil, models, "linear", "parameters: {weight: 0.5}").inventory.base.heads
        }
        #expect(heads[0] == heads[1], "\(heads)")
    }
}
