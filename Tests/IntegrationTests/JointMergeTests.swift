import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `kfac_exact` by joint rows, against a dense solution of the whole system in fp64 from the same rows and factors.
    @Suite(.timeLimit(.minutes(10))) struct JointMergeTests {
        private static let weights = [1, 0.5, -0.75]
        private static let shares = [0.25, 0.25, 0.5]
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.method = "kfac_exact"
            model.job.outputs = ["factors", "merged", "report"]
            for index in SmallModel.taskNames.indices {
                let count = Self.shares[index] * 4
                model.job.tasks[index].others =
                    ["curvature_weight: \(count)"]
                    + ["parameters: {weight: \(Self.weights[index])}"]
            }
        }

        private func setMerge(_ floor: String, _ parameters: String) {
            model.job.curvature = [
                "normalization: expand",
                "regularizer: {form: pseudo_rows, ranks: {inputs: 5, gradients: 7}, floor: \(floor)}",
            ]
            model.job.others = ["parameters: {curvature: joint_rows, \(parameters)}", "dtype: float64"]
        }

        // MARK: - The system

        /// The blocks' shapes, in the order of the system.
        private static let shapes =
            JointReference.layers.map { (name: $0.name, outputs: $0.outputs, inputs: $0.inputs) }
            + [(name: JointReference.parameter.name, outputs: JointReference.parameter.count, inputs: 1)]
        private static let size = shapes.reduce(0) { $0 + $1.outputs * $1.inputs }

        /// Ω_t as a matrix over all blocks, from a factor file with pseudo-rows.
        private static func form(_ file: TensorFile, floor: String) throws -> [[Double]] {
            let rows = try JointReference(file: file)
            var form = [[Double]](repeating: [Double](repeating: 0, count: size), count: size)
            for input in rows.inputs.rows {
                for gradient in rows.gradients.rows {
                    let drift = drift(input, gradient)
                    for row in drift.indices {
                        for column in drift.indices { form[row][column] += drift[row] * drift[column] }
                    }
                }
            }
            guard floor != "none" else { return form }
            var first = 0
            for shape in shapes {
                let isLayer = shape.name != JointReference.parameter.name
                let (a, b) =
                    try isLayer
                    ? (square(file, "\(shape.name).A"), square(file, "\(shape.name).B"))
                    : ([1], square(file, "\(shape.name).F"))
                let layer = JointReference.Layer(name: shape.name, inputs: shape.inputs, outputs: shape.outputs)
                let (inA, inB) =
                    isLayer
                    ? (rows.inside(layer, isInput: true), rows.inside(layer, isInput: false))
                    : ([1], rows.insideOfParameter)
                let share = floor == "complement" ? 1 : try #require(Double(floor))
                for row in 0..<shape.outputs * shape.inputs {
                    for column in 0..<shape.outputs * shape.inputs {
                        let ofB = row / shape.inputs * shape.outputs + column / shape.inputs
                        let ofA = row % shape.inputs * shape.inputs + column % shape.inputs
                        form[first + row][first + column] += share * b[ofB] * a[ofA]
                        if floor == "complement" { form[first + row][first + column] -= inB[ofB] * inA[ofA] }
                    }
                }
                first += shape.outputs * shape.inputs
            }
            return form
        }

        /// What X_sr multiplies every element of Δ with.
        private static func drift(_ input: [Double], _ gradient: [Double]) -> [Double] {
            var drift: [Double] = []
            var (inputPlace, gradientPlace) = (0, 0)
            for shape in shapes {
                let positions = shape.name == JointReference.parameter.name ? 1 : SmallModel.positions
                var own = [Double](repeating: 0, count: shape.outputs * shape.inputs)
                for _ in 0..<positions {
                    for index in own.indices {
                        own[index] +=
                            gradient[gradientPlace + index / shape.inputs] * input[inputPlace + index % shape.inputs]
                    }
                    inputPlace += shape.inputs
                    gradientPlace += shape.outputs
                }
                drift += own
            }
            return drift
        }

        private static func square(_ file: TensorFile, _ name: String) throws -> [Double] {
            try file.tensor(name).values
        }

        /// A checkpoint's difference from the base, in the order of the system.
        private func change(_ file: TensorFile) throws -> [Double] {
            func difference(_ name: String) throws -> [Double] {
                zip(try file.tensor(name).values, try model.base.tensor(name).values).map { $0 - $1 }
            }
            return try Self.shapes.flatMap { shape -> [Double] in
                guard shape.name != JointReference.parameter.name else { return try difference(shape.name) }
                let weight = try difference("\(shape.name).weight")
                let width = weight.count / shape.outputs
                let bias = width < shape.inputs ? try difference("\(shape.name).bias") : []
                return (0..<shape.outputs).flatMap { row in
                    weight[row * width..<(row + 1) * width] + (bias.isEmpty ? [] : [bias[row]])
                }
            }
        }

        private static func product(_ matrix: [[Double]], _ vector: [Double]) -> [Double] {
            matrix.map { row in zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 } }
        }

        private static func norm(_ vector: [Double]) -> Double {
            vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        }

        /// Gaussian elimination with pivots.
        private static func solution(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
            var rows = zip(matrix, right).map { $0 + [$1] }
            for column in rows.indices {
                let pivot = (column..<rows.count).max { rows[$0][column].magnitude < rows[$1][column].magnitude }
                rows.swapAt(column, pivot ?? column)
                for row in column + 1..<max(column + 1, rows.count) {
                    let factor = rows[row][column] / rows[column][column]
                    guard factor != 0 else { continue }
                    for place in column...rows.count { rows[row][place] -= factor * rows[column][place] }
                }
            }
            var solution = [Double](repeating: 0, count: rows.count)
            for row in rows.indices.reversed() {
                let known = (row + 1..<max(row + 1, rows.count)).reduce(0) { $0 + rows[row][$1] * solution[$1] }
                solution[row] = (rows[row][rows.count] - known) / rows[row][row]
            }
            return solution
        }

        /// Σ λ_t Ω_t and Σ λ_t Ω_t w_t Δ_t, of the factor files that a job wrote.
        private func system(_ output: String, floor: String) throws -> (matrix: [[Double]], right: [Double]) {
            var matrix = [[Double]](repeating: [Double](repeating: 0, count: Self.size), count: Self.size)
            var right = [Double](repeating: 0, count: Self.size)
            for (index, task) in SmallModel.taskNames.enumerated() {
                let form = try Self.form(
                    try TensorFile(reading: "\(output)/factors/\(task)/factors.safetensors"), floor: floor)
                let vector = try change(try #require(model.checkpoints[task])).map { Self.weights[index] * $0 }
                let image = Self.product(form, vector)
                for row in right.indices {
                    right[row] += Self.shares[index] * image[row]
                    for column in right.indices { matrix[row][column] += Self.shares[index] * form[row][column] }
                }
            }
            return (matrix, right)
        }

        private func merged(_ output: String) throws -> [Double] {
            try change(try TensorFile(reading: "\(output)/merged/model.safetensors"))
        }

        private func health(_ output: String) throws -> [String: [String: [Double]]] {
            let merge = try #require(try Report.read(in: output)["merge"] as? [String: Any])
            return try #require(merge["health"] as? [String: [String: [Double]]])
        }

        // MARK: - Tests

        @Test(arguments: ["complement", "0.25", "none"])
        func `the merge solves the equations of all layers together`(floor: String) async throws {
            setMerge(floor, "lambda: 0.5, tolerance: 1e-10, iterations: 400")
            try model.write()
            let output = try await model.run()
            let (matrix, right) = try system(output, floor: floor)
            let found = try merged(output).map { 2 * $0 }
            let image = Self.product(matrix, found)
            let residual = Self.norm(zip(image, right).map { $0 - $1 }) / Self.norm(right)
            // The file has the constants of the rows in fp32.
            #expect(residual < 1e-8)
            let stated = try health(output)
            #expect(stated.keys.sorted() == ["fc", "k", "norm.weight", "q", "v"])
            for block in stated.values {
                #expect(try #require(block["residual"]?.first) <= 1e-10)
                #expect(try #require(block["iterations"]?.first) > 5)
                #expect(block["damping"] != nil && block["merged_norm"] != nil && block["mean_norm"] != nil)
            }
            // Without a floor the rows leave directions free.
            guard floor != "none" else { return }
            let exact = Self.solution(matrix, right)
            expectClose(found, exact, absolute: 1e-6 * Self.norm(exact))
        }

        @Test func `without steps the merge is that of kfac`() async throws {
            setMerge("complement", "iterations: 0")
            try model.write()
            let start = try merged(try await model.run())
            model.job.method = "kfac"
            model.job.others = ["dtype: float64"]
            expectClose(start, try merged(try await model.run(to: "kfac")), absolute: 1e-14)
        }

        @Test func `equal vectors are the merge`() async throws {
            for task in SmallModel.taskNames { model.checkpoints[task] = model.checkpoints["alpha"] }
            for index in SmallModel.taskNames.indices { model.job.tasks[index].others = [] }
            setMerge("complement", "tolerance: 1e-10")
            try model.write()
            let output = try await model.run()
            expectClose(
                try merged(output), try change(try #require(model.checkpoints["alpha"])), absolute: 1e-7)
        }

        @Test func `a merge that ends before its tolerance is named once`() async throws {
            setMerge("complement", "iterations: 2")
            try model.write()
            let output = try await model.run()
            for block in try health(output).values { #expect(block["iterations"] == [2]) }
            let warnings = try #require(try Report.read(in: output)["warnings"] as? [String])
            let sentence = "the iteration over all layers ended after all 2 steps before its equations were solved"
            #expect(warnings.filter { $0.contains(sentence) }.count == 1, "\(warnings)")
        }

        @Test func `any number of workers writes the same bytes`() async throws {
            setMerge("complement", "iterations: 6")
            var outputs: [String] = []
            for workers in 1...3 {
                model.job.output = "out-\(workers)"
                try model.write()
                outputs.append(try await model.run(workers: workers))
            }
            for other in outputs.dropFirst() { try requireSameBytes(other, outputs[0]) }
        }

        @Test func `a worker that is killed in the middle changes no byte`() async throws {
            setMerge("complement", "iterations: 12")
            model.job.output = "whole"
            try model.write()
            let whole = try await model.run()
            let output = model.directory.appending("killed")
            model.job.output = output
            try model.write()
            try await Cluster.with(workerTimeout: Cluster.shortTimeout, startingOver: output) { cluster in
                let doomed = try cluster.startWorker("doomed")
                let job = try await cluster.submit(model.jobPath)
                let status = try await cluster.holdWorkers(job, units: 120)
                doomed.send(SIGKILL)
                #expect(try await doomed.exitCode() == 128 + SIGKILL)
                try #require(status.finishedUnits < status.totalUnits)
                try cluster.startWorker("heir")
                try await cluster.waitForSuccess(job)
            }
            try requireSameBytes(output, whole)
        }

        @Test func `a plan counts the units of the steps`() async throws {
            setMerge("complement", "iterations: 3")
            try model.write()
            let plan = try await Client.run(["plan", model.jobPath], in: model.directory)
            // Five blocks: the closed form, the start, four times a step, and the merge; and five sums.
            #expect(plan.output.contains("\nmerge "), "\(plan.output) \(plan.errors)")
            let line = try #require(plan.output.split(separator: "\n").first { $0.hasPrefix("merge ") })
            #expect(line.split(separator: " ").contains("40"), "\(line)")
        }
    }
}
