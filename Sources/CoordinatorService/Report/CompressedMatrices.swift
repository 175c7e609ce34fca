import Identifiers
import JSONText
import JobPlan
import LinearAlgebra
import UnitOperations

/// What the matrices in a job's factor and regularizer files lost when they were compressed.
///
/// Source: DESIGN section 3.
struct CompressedMatrices {
    private static let namesMax = 10

    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    private struct Row {
        /// The file's directory in the output.
        let file: String
        let tensor: String
        let loss: CompressionLoss

        var name: String { "\(tensor) in \(file)" }
    }

    private var rows: [Row] {
        guard plan.spec.curvature.compression != nil else { return [] }
        var found = plan.spec.curvedTasks.flatMap { task in
            self.rows(in: "factors/\(task.name)") { .compressedFactor($0, of: task.name) }
        }
        for target in plan.targets {
            for set in plan.spec.regularizerSets(of: target) {
                found += self.rows(in: "regularizer/\(target)", prefix: set.prefix, for: set.compressedPurpose)
            }
        }
        return found
    }

    private func rows(in file: String, prefix: String = "", for purpose: (FactorSide) -> UnitPurpose) -> [Row] {
        FactorSide.allCases.flatMap { side in
            plan.products.outputs(for: purpose(side)).compactMap { block, output in
                result(output.unit).flatMap { CompressionLoss($0.measurements) }.map {
                    Row(file: file, tensor: "\(prefix)\(FactorName(owner: block, side: side))", loss: $0)
                }
            }
        }.sorted { $0.tensor < $1.tensor }
    }

    /// The section of the report; null for a job without compressed files.
    var json: JSONValue {
        guard let compression = plan.spec.curvature.compression else { return .null }
        var members: [JSONValue.Member] = [.init("form", .string(compression.form.word.rawValue))]
        if let key = compression.form.word.parameter, let parameter = compression.form.parameter {
            members.append(.init(key, .number("\(parameter)")))
        }
        members.append(.init("repair", .bool(compression.repairs)))
        let matrices = rows.map { row in
            JSONValue.object([
                .init("file", .string(row.file)), .init("tensor", .string(row.tensor)),
                .init("relative_error", .of(row.loss.relativeError)),
                .init("smallest_eigenvalue", .of(row.loss.smallestEigenvalue)),
                .init("mean_eigenvalue", .of(row.loss.meanEigenvalue)), .init("shift", .of(row.loss.shift)),
            ])
        }
        return .object(members + [.init("matrices", .array(matrices))])
    }

    /// The warnings about matrices that are not semi-definite after decoding; empty without any.
    var sentences: [String] {
        let rows = rows
        let indefinite = rows.filter { $0.loss.smallestEigenvalue < -Self.rounding * $0.loss.meanEigenvalue.magnitude }
            .sorted { relative($0) < relative($1) }
        let names = indefinite.map { "\($0.name) (\(DampingWarnings.rounded(relative($0))))" }
        let left =
            indefinite.isEmpty
            ? []
            : [
                "\(indefinite.count) of \(rows.count) compressed matrices have a negative eigenvalue after decoding; the "
                    + "smallest, in units of the mean: \(names.listed(limit: Self.namesMax)). Write \"repair: true\" under "
                    + "\"compression\" to lift it to 0, or choose another form."
            ]
        return left + lifted(among: rows)
    }

    /// The warning about matrices that got a shift although the job asks for no repair, because no reader would take
    /// them otherwise.
    private func lifted(among rows: [Row]) -> [String] {
        guard let compression = plan.spec.curvature.compression, !compression.repairs else { return [] }
        func share(_ row: Row) -> Double { row.loss.shift / (row.loss.meanEigenvalue - row.loss.shift) }
        let lifted = rows.filter { $0.loss.shift > 0 }.sorted { share($0) > share($1) }
        guard !lifted.isEmpty else { return [] }
        let names = lifted.map { "\($0.name) (\(DampingWarnings.rounded(share($0))))" }
        return [
            "\(lifted.count) of \(rows.count) compressed matrices had an eigenvalue below "
                + "−\(SemidefiniteCheck.eigenvalueTolerance) of their trace after decoding, which every job refuses: a shift "
                + "of their diagonals lifts it to 0; in units of the mean: \(names.listed(limit: Self.namesMax)). Choose "
                + "another form if that is too much."
        ]
    }

    /// What rounding to fp32 may do to an eigenvalue, in units of the mean.
    private static let rounding = 1e-6

    private func relative(_ row: Row) -> Double { row.loss.smallestEigenvalue / row.loss.meanEigenvalue }
}
