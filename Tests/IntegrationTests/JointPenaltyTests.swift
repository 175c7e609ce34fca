import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The penalties of the form `pseudo_rows` in the report, against the joint form in fp64 from the same captures.
    @Suite(.timeLimit(.minutes(10))) struct JointPenaltyTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["regularizer", "report"]
        }

        private func setFloor(_ floor: String) {
            model.job.curvature = [
                "normalization: expand",
                "regularizer: {form: pseudo_rows, ranks: {inputs: 5, gradients: 7}, floor: \(floor)}",
            ]
        }

        /// Δ of a task by layer, with the bias last, and of the parameter.
        private func change(_ task: String) throws -> [String: [Double]] {
            let checkpoint = try #require(model.checkpoints[task])
            func difference(_ name: String) throws -> [Double] {
                zip(try checkpoint.tensor(name).values, try model.base.tensor(name).values).map { $0 - $1 }
            }
            var change = [JointReference.parameter.name: try difference(JointReference.parameter.name)]
            for layer in JointReference.layers {
                let weight = try difference("\(layer.name).weight")
                let width = weight.count / layer.outputs
                let bias = width < layer.inputs ? try difference("\(layer.name).bias") : []
                change[layer.name] = (0..<layer.outputs).flatMap { row in
                    weight[row * width..<(row + 1) * width] + (bias.isEmpty ? [] : [bias[row]])
                }
            }
            return change
        }

        private func penalties(_ output: String) throws -> [String: [String: Double]] {
            try #require(try Report.read(in: output)["penalties"] as? [String: [String: Double]])
        }

        @Test(arguments: ["none", "complement", "0.25"])
        func `the penalty of a task's vector is that of the rows and the floor of the others`(
            floor: String
        ) async throws {
            setFloor(floor)
            try model.write()
            let found = try penalties(try await model.run())
            #expect(found.keys.sorted() == SmallModel.taskNames)
            for task in SmallModel.taskNames {
                let others = SmallModel.taskNames.filter { $0 != task }
                let references = try others.map { try JointReference(try #require(model.captures[$0])) }
                let all = JointReference(joining: references)
                let own = try references.map { try $0.compressed(inputRank: 5, gradientRank: 7).rows }
                let rows = try JointReference(joining: own).compressed(inputRank: 5, gradientRank: 7).rows
                let change = try change(task)
                var expected = rows.shares(change)
                let (factors, inside) = (all.factorPenalties(change), rows.factorPenalties(change))
                for name in expected.keys {
                    let (whole, held) = (try #require(factors[name]), try #require(inside[name]))
                    let added: [String: Double] = ["none": 0, "complement": whole - held, "0.25": 0.25 * whole]
                    expected[name]? += try #require(added[floor])
                }
                let omega = expected.values.reduce(0, +)
                let names = expected.keys.sorted()
                let values = try #require(found[task])
                #expect(values.keys.sorted() == names)
                expectClose(
                    names.map { values[$0] ?? .nan }, names.map { expected[$0] ?? .nan }, absolute: 1e-5 * omega)
                expectClose(values.values.reduce(0, +), omega, relative: 1e-5)
            }
        }

        @Test func `any number of workers measures the same bits`() async throws {
            setFloor("complement")
            var found: [[String: [String: Double]]] = []
            for workers in 1...3 {
                model.job.output = "out-\(workers)"
                try model.write()
                found.append(try penalties(try await model.run(workers: workers)))
            }
            #expect(found[0].count == 3 && found[1] == found[0] && found[2] == found[0])
        }

        @Test func `a model of weight 0 that is not finite has no penalty, and changes no other`() async throws {
            setFloor("complement")
            model.job.tasks[0].others = ["parameters: {weight: 0}"]
            let finite = try penalties(try await model.run(to: "finite"))
            var alpha = try #require(model.checkpoints["alpha"])
            let index = try #require(alpha.tensors.firstIndex { $0.name == "fc.weight" })
            alpha.tensors[index] = alpha.tensors[index].replacing(5, with: .nan)
            model.checkpoints["alpha"] = alpha
            let report = try Report.read(in: try await model.run(to: "out"))
            let found = try #require(report["penalties"] as? [String: [String: Any]])
            // One layer without a value leaves the sum over all layers without one.
            #expect(found["alpha"]?.count == 5 && found["alpha"]?.values.allSatisfy { $0 is NSNull } == true)
            for task in ["beta", "gamma"] { #expect(found[task] as? [String: Double] == finite[task]) }
        }

        @Test func `the run and the page tell the penalties`() async throws {
            setFloor("complement")
            try model.write()
            let lines = try await Client.runJob(model.jobPath, in: model.directory).output
            #expect(lines.contains("penalty of each task's own vector under the regularizer"), "\(lines)")
            #expect(!lines.contains("not computed"), "\(lines)")
            let page = try String(contentsOfFile: "\(model.outputPath)/report.html", encoding: .utf8)
            #expect(page.contains("Joint rows have one sum over all layers") && !page.contains("not computed"))
        }
    }
}
