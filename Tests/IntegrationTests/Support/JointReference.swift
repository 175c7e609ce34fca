import Foundation
import LinearAlgebra

/// The joint form in fp64, from the captures of the small model: rows, pseudo-rows and the penalty.
///
/// Every layer's rows stand side by side, then the constant or the parameter's gradient.
///
/// Source: DESIGN section 2.2, joint form.
struct JointReference {
    /// A layer's columns of a row.
    struct Layer {
        let name: String
        let inputs: Int
        let outputs: Int
    }

    /// Rows with the mean squares of each column's position.
    struct Side {
        var rows: [[Double]]
        /// By column: the mean square of its position's rows.
        var squares: [Double]
    }

    static let layers = [
        Layer(name: "fc", inputs: 5, outputs: 7), Layer(name: "k", inputs: 7, outputs: 5),
        Layer(name: "q", inputs: 7, outputs: 5), Layer(name: "v", inputs: 7, outputs: 5),
    ]
    static let parameter = (name: "norm.weight", count: 6)

    var inputs: Side
    var gradients: Side

    /// The rows of a task, as they were captured, or of some of its samples.
    init(_ capture: TensorFile, samples: Range<Int> = 0..<SmallModel.samples) throws {
        let (positions, probes) = (SmallModel.positions, SmallModel.probes)
        var inputs = samples.map { _ in [Double]() }
        var gradients = (0..<samples.count * probes).map { _ in [Double]() }
        for layer in Self.layers {
            let values = try capture.tensor("\(layer.name).input").values
            let own = try capture.tensor("\(layer.name).output_grad").values
            let width = values.count / (SmallModel.samples * positions)
            for (place, sample) in samples.enumerated() {
                for row in sample * positions..<(sample + 1) * positions {
                    inputs[place] += values[row * width..<(row + 1) * width]
                    if width < layer.inputs { inputs[place].append(1) }
                }
                for probe in 0..<probes {
                    let first = (probe * SmallModel.samples + sample) * positions * layer.outputs
                    gradients[probe * samples.count + place] += own[first..<first + positions * layer.outputs]
                }
            }
        }
        let own = try capture.tensor("\(Self.parameter.name).grad").values
        for (place, sample) in samples.enumerated() {
            for probe in 0..<probes {
                let first = (probe * SmallModel.samples + sample) * Self.parameter.count
                gradients[probe * samples.count + place] += own[first..<first + Self.parameter.count]
            }
        }
        func scaled(_ rows: [[Double]]) -> [[Double]] {
            rows.map { row in row.map { $0 / Double(rows.count).squareRoot() } }
        }
        self.inputs = Side(rows: scaled(inputs.map { $0 + [1] }), squares: [])
        self.gradients = Side(rows: scaled(gradients), squares: [])
        self.inputs.squares = Self.squares(self.inputs.rows, Self.layers.map(\.inputs), rest: 1)
        self.gradients.squares = Self.squares(
            self.gradients.rows, Self.layers.map(\.outputs), rest: Self.parameter.count)
    }

    /// The rows of several tasks one after the other, with inputs divided by the root of their number.
    init(joining parts: [JointReference]) {
        let scale = 1 / Double(parts.count).squareRoot()
        func mean(_ side: KeyPath<JointReference, Side>) -> [Double] {
            parts[0][keyPath: side].squares.indices.map { column in
                parts.reduce(0) { $0 + $1[keyPath: side].squares[column] } / Double(parts.count)
            }
        }
        inputs = Side(
            rows: parts.flatMap { $0.inputs.rows.map { row in row.map { scale * $0 } } }, squares: mean(\.inputs))
        gradients = Side(rows: parts.flatMap(\.gradients.rows), squares: mean(\.gradients))
    }

    /// The rows of a task's parts one after the other, weighed by their samples.
    init(parts: [(rows: JointReference, samples: Int)]) {
        let total = Double(parts.reduce(0) { $0 + $1.samples })
        func joined(_ side: KeyPath<JointReference, Side>) -> Side {
            var joined = Side(rows: [], squares: parts[0].rows[keyPath: side].squares.map { _ in 0 })
            for part in parts {
                let share = Double(part.samples) / total
                joined.rows += part.rows[keyPath: side].rows.map { row in row.map { share.squareRoot() * $0 } }
                joined.squares = zip(joined.squares, part.rows[keyPath: side].squares).map { $0 + share * $1 }
            }
            return joined
        }
        (inputs, gradients) = (joined(\.inputs), joined(\.gradients))
    }

    /// The tensors of the rows as files have them.
    func tensors() -> [Tensor] {
        func floats(_ values: [Double]) -> [Float] { values.map { Float($0) } }
        var tensors: [Tensor] = []
        let sides = [("input", inputs, Self.layers.map(\.inputs)), ("gradient", gradients, Self.layers.map(\.outputs))]
        for (word, side, widths) in sides {
            var start = 0
            for (layer, width) in zip(Self.layers, widths) {
                let columns = start..<start + SmallModel.positions * width
                tensors.append(
                    Tensor(
                        "\(layer.name).\(word)_rows", [side.rows.count, SmallModel.positions, width],
                        floats(side.rows.flatMap { $0[columns] })))
                tensors.append(
                    Tensor(
                        "\(layer.name).\(word)_squares", [SmallModel.positions],
                        floats(stride(from: start, to: columns.upperBound, by: width).map { side.squares[$0] })))
                start = columns.upperBound
            }
            let rest = side.rows.flatMap { $0[start...] }
            let (prefix, count) = word == "input" ? ("", 1) : ("\(Self.parameter.name).", Self.parameter.count)
            let shape = word == "input" ? [side.rows.count] : [side.rows.count, count]
            tensors.append(Tensor("\(prefix)\(word)_rows", shape, floats(rest)))
            tensors.append(Tensor("\(prefix)\(word)_squares", [1], floats([side.squares[start]])))
        }
        return tensors
    }

    private static func squares(_ rows: [[Double]], _ widths: [Int], rest: Int) -> [Double] {
        var squares: [Double] = []
        let blocks = widths.flatMap { width in (0..<SmallModel.positions).map { _ in width } } + [rest]
        for width in blocks {
            let columns = squares.count..<squares.count + width
            let square = rows.reduce(0) { sum, row in row[columns].reduce(sum) { $0 + $1 * $1 } }
            squares += [Double](repeating: square, count: width)
        }
        return squares
    }

    /// The squares of the other side, spread over the columns of this one, and at least 1e-8 of the largest.
    private static func weights(_ squares: [Double], from: [Int], rest: Int, to: [Int], own: Int) -> [Double] {
        var weights: [Double] = []
        var place = 0
        for (width, ownWidth) in zip(from, to) {
            for _ in 0..<SmallModel.positions {
                weights += [Double](repeating: squares[place], count: ownWidth)
                place += width
            }
        }
        weights += [Double](repeating: squares[place], count: own)
        let largest = weights.max() ?? 0
        return weights.map { max($0, 1e-8 * largest) }
    }

    /// The leading combinations of both sides, and the share of the trace that each keeps.
    func compressed(inputRank: Int, gradientRank: Int) throws -> (rows: JointReference, kept: [Double]) {
        let (inputWidths, outputWidths) = (Self.layers.map(\.inputs), Self.layers.map(\.outputs))
        var result = self
        let ofInputs = try Self.leading(
            inputRank, of: inputs.rows,
            Self.weights(
                gradients.squares, from: outputWidths, rest: Self.parameter.count, to: inputWidths, own: 1))
        let ofGradients = try Self.leading(
            gradientRank, of: gradients.rows,
            Self.weights(inputs.squares, from: inputWidths, rest: 1, to: outputWidths, own: Self.parameter.count))
        (result.inputs.rows, result.gradients.rows) = (ofInputs.rows, ofGradients.rows)
        return (result, [ofInputs.kept, ofGradients.kept])
    }

    private static func leading(
        _ rank: Int, of rows: [[Double]], _ weights: [Double]
    ) throws -> (rows: [[Double]], kept: Double) {
        let gram = rows.flatMap { row in
            rows.map { other in row.indices.reduce(0) { $0 + weights[$1] * row[$1] * other[$1] } }
        }
        let eigen = try SymmetricEigen(
            decomposing: try Matrix<Double>(rows: rows.count, columns: rows.count, elements: gram))
        let count = min(rank, rows.count)
        var combined: [[Double]] = []
        for place in 0..<count {
            let vector = rows.count - 1 - place
            combined.append(
                rows[0].indices.map { column in
                    rows.indices.reduce(0) { $0 + eigen.vectors[vector, $1] * rows[$1][column] }
                })
        }
        return (combined, eigen.values.suffix(count).reduce(0, +) / eigen.values.reduce(0, +))
    }

    /// The rows that a regularizer's file holds.
    init(file: TensorFile) throws {
        func joined(_ suffix: String, _ names: [String]) throws -> [[Double]] {
            var rows: [[Double]] = []
            for name in names {
                let tensor = try file.tensor(name + suffix)
                let width = tensor.values.count / tensor.shape[0]
                if rows.isEmpty { rows = (0..<tensor.shape[0]).map { _ in [] } }
                for row in rows.indices { rows[row] += tensor.values[row * width..<(row + 1) * width] }
            }
            return rows
        }
        let names = Self.layers.map { "\($0.name)." }
        inputs = Side(rows: try joined("input_rows", names + [""]), squares: [])
        gradients = Side(rows: try joined("gradient_rows", names + ["\(Self.parameter.name)."]), squares: [])
    }

    /// Σ_rs X_rs² of a change of every layer `[d_out, d_in]` and of the parameter.
    func penalty(_ change: [String: [Double]]) -> Double {
        var sum = 0.0
        for input in inputs.rows {
            for gradient in gradients.rows {
                let value = self.value(change, input, gradient)
                sum += value * value
            }
        }
        return sum
    }

    /// Ω of a change by layer and parameter: its share of Σ_rs X_rs².
    func shares(_ change: [String: [Double]]) -> [String: Double] {
        func products(_ change: [String: [Double]]) -> [Double] {
            inputs.rows.flatMap { input in gradients.rows.map { value(change, input, $0) } }
        }
        let whole = products(change)
        return Dictionary(
            uniqueKeysWithValues: change.map { name, values in
                let alone = change.mapValues { $0.map { _ in 0 } }.merging([name: values]) { $1 }
                return (name, zip(whole, products(alone)).reduce(0) { $0 + $1.0 * $1.1 })
            })
    }

    /// The penalty of a change by layer and parameter under the factors of the rows: with all rows they are K-FAC's.
    func factorPenalties(_ change: [String: [Double]]) -> [String: Double] {
        var penalties: [String: Double] = [:]
        for layer in Self.layers {
            let (a, b) = (inside(layer, isInput: true), inside(layer, isInput: false))
            let delta = change[layer.name] ?? []
            var sum = 0.0
            for row in 0..<layer.outputs {
                for other in 0..<layer.outputs {
                    for column in 0..<layer.inputs {
                        for last in 0..<layer.inputs {
                            sum +=
                                delta[row * layer.inputs + column] * b[row * layer.outputs + other]
                                * delta[other * layer.inputs + last] * a[last * layer.inputs + column]
                        }
                    }
                }
            }
            penalties[layer.name] = sum
        }
        let (full, delta) = (insideOfParameter, change[Self.parameter.name] ?? [])
        penalties[Self.parameter.name] = delta.indices.reduce(0.0) { sum, row in
            delta.indices.reduce(sum) { $0 + delta[row] * full[row * delta.count + $1] * delta[$1] }
        }
        return penalties
    }

    private func value(_ change: [String: [Double]], _ input: [Double], _ gradient: [Double]) -> Double {
        var (sum, inputPlace, gradientPlace) = (0.0, 0, 0)
        for layer in Self.layers {
            let delta = change[layer.name] ?? []
            for _ in 0..<SmallModel.positions {
                for output in 0..<layer.outputs {
                    let image = (0..<layer.inputs).reduce(0) {
                        $0 + delta[output * layer.inputs + $1] * input[inputPlace + $1]
                    }
                    sum += gradient[gradientPlace + output] * image
                }
                inputPlace += layer.inputs
                gradientPlace += layer.outputs
            }
        }
        let delta = change[Self.parameter.name] ?? []
        return sum + delta.indices.reduce(0) { $0 + gradient[gradientPlace + $1] * delta[$1] } * input[inputPlace]
    }

    /// Σ_r Σ_p u uᵀ / P of a layer's inputs, or Σ_s Σ_p v vᵀ of its gradients, `[d, d]`.
    func inside(_ layer: Layer, isInput: Bool) -> [Double] {
        let widths = Self.layers.map { isInput ? $0.inputs : $0.outputs }
        let position = Self.layers.firstIndex { $0.name == layer.name } ?? 0
        let start = widths.prefix(position).reduce(0, +) * SmallModel.positions
        return Self.outer(
            isInput ? inputs.rows : gradients.rows, width: widths[position], from: start, count: SmallModel.positions,
            divisor: isInput ? Double(SmallModel.positions) : 1)
    }

    /// (Σ_r u₁²) Σ_s v vᵀ of the parameter.
    var insideOfParameter: [Double] {
        let constant = inputs.rows.reduce(0) { $0 + ($1.last ?? 0) * ($1.last ?? 0) }
        let start = (gradients.rows.first?.count ?? 0) - Self.parameter.count
        return Self.outer(gradients.rows, width: Self.parameter.count, from: start, count: 1, divisor: 1)
            .map { constant * $0 }
    }

    private static func outer(
        _ rows: [[Double]], width: Int, from start: Int, count: Int, divisor: Double
    ) -> [Double] {
        var sum = [Double](repeating: 0, count: width * width)
        for row in rows {
            for position in 0..<count {
                let place = start + position * width
                for index in 0..<width * width {
                    sum[index] += row[place + index / width] * row[place + index % width] / divisor
                }
            }
        }
        return sum
    }
}
