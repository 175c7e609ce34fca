import Admission
import FileAccess
import Identifiers
import JSONText
import JobFiles
import JobPlan
import JobReport
import KroneckerFactors
import LinearAlgebra
import Publication
import Scheduling
import SystemPackage
import TaskArithmetic
import UnitOperations

/// Writes `report.json`: the inputs, the settings and the results, and under `run` how the job ran.
///
/// Everything but `run` is the same for the same job, whatever the workers and crashes. `report.html` is made of
/// `report.json` alone.
struct ReportWriter {
    let job: Job
    let build: String
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?
    /// A finished unit's executor and duration.
    let execution: (UnitIndex) -> (executor: UnitExecutorName, timing: UnitTiming)?
    /// The numeric regime of a finished unit's result, if known.
    let regime: (UnitIndex) -> NumericRegime?

    private var plan: JobPlan { job.plan }

    /// The files, in the order of their names; the first is for people, the second for programs.
    static let fileNames = ["report.html", "report.json"]

    /// Writes both files into the staging directory.
    ///
    /// - Throws: `SafetensorsError` when the report cannot be written, `KroneckerFactorsError` for invalid weights.
    func run() throws {
        let report = JSONValue.object([
            .init("format", .string(FormatVersion.report.description)),
            .init("inputs", .array(inputs)),
            .init("options", options),
            .init("tasks", .array(tasks)),
            .init("layers", .array(try layers)),
            .init("layers_without_rows", .array(plan.unreached.map { .string($0) })),
            .init("interference", InterferenceSection(plan: plan, result: result).json),
            .init("penalties", penalties),
            .init("pseudo_rows", PseudoRowsSection(plan: plan, result: result).json),
            .init("compression", CompressedMatrices(plan: plan, result: result).json),
            .init("merge", MergeReport(job: job, result: result).json),
            .init("notices", .array(plan.notices.map { .string($0.description) })),
            .init("warnings", .array(plan.warnings(result).map { .string($0) })),
            .init("run", ExecutionReport(job: job, build: build, execution: execution, regime: regime).json),
        ])
        let texts = [JobReportPage(report: report).html, report.text(indent: 2) + "\n"]
        let directory = try job.output.stage()
        for (name, text) in zip(Self.fileNames, texts) {
            try WholeFile.write(Array(text.utf8), to: directory.appending(name))
        }
    }

    // MARK: - What went in

    private var inputs: [JSONValue] {
        let digestUnit = plan.units.first { $0.work == .coordinator(.digestInputs) }
        let digests = digestUnit.flatMap { result($0.index)?.blobs } ?? []
        return plan.inventory.files.enumerated().map { index, file in
            var members: [JSONValue.Member] = [
                .init("path", .string(file.path)), .init("role", .string(file.role)),
                .init("bytes", .number("\(file.byteCount)")),
                .init("header_sha256", .string(file.headerDigest.description)),
            ]
            if digests.indices.contains(index) {
                members.append(.init("sha256", .string(digests[index].digest.description)))
            }
            return .object(members)
        } + adapterConfigurations
    }

    /// The settings of the models that are adapters, which change their values.
    private var adapterConfigurations: [JSONValue] {
        plan.spec.mergedTasks.compactMap { task in
            guard let adapter = plan.inventory.checkpoints[task.name]?.adapter else { return nil }
            return .object([
                .init("path", .string(adapter.configurationPath)),
                .init("role", .string("settings of the adapter of task \"\(task.name)\"")),
                .init("bytes", .number("\(adapter.configurationByteCount)")),
                .init("sha256", .string(adapter.configurationDigest.description)),
            ])
        }
    }

    private var options: JSONValue {
        let curvature = plan.spec.curvature
        return .object(
            [
                .init("merge_method", .string(plan.spec.method.name)),
                .init("normalize", normalize),
            ] + lambda + parameters + [
                .init("dtype", plan.spec.outputType.map { .string($0.rawValue) } ?? .null),
                .init("non_finite", .string(plan.spec.nonFinite.rawValue)),
                .init("normalization", .string(curvature.normalization.rawValue)),
                .init("exact_probes", .bool(curvature.hasExactProbes)),
                .init("damping", curvature.damping.description),
            ] + precision + [.init("regularizer", regularizer)] + groups + [
                .init("outputs", .array(plan.spec.outputs.map(\.rawValue).sorted().map { .string($0) }))
            ])
    }

    /// The precision of factors in merges, where it is not fp32.
    private var precision: [JSONValue.Member] {
        guard let precision = plan.spec.curvature.precision?.value, precision != .float32 else { return [] }
        return [.init("precision", .string(precision.rawValue))]
    }

    /// The job's values of the parameters that only its method has; null for a value that depends on the tensor.
    private var parameters: [JSONValue.Member] {
        let own = plan.spec.method.ownParameters
        guard !own.isEmpty else { return [] }
        let given = own.compactMap { parameter in
            plan.spec.parameters[parameter].map { setting -> JSONValue.Member in
                switch setting {
                case .scalar(let value) where parameter.kind == .truth: .init(parameter.name, .bool(value != 0))
                case .scalar(let value): .init(parameter.name, .of(value))
                case .word(let word): .init(parameter.name, .string(word))
                case .gradient, .filtered, .bySlice: .init(parameter.name, .null)
                }
            }
        }
        return [.init("parameters", .object(given))]
    }

    /// α, of a method that has it; null when it depends on the tensor.
    private var lambda: [JSONValue.Member] {
        guard plan.spec.method.parameter(MergeParameter.lambda.name) != nil else { return [] }
        return [.init(MergeParameter.lambda.name, number(plan.spec.parameters[.lambda]))]
    }

    /// The factor of a model, of a method that has it; null when it depends on the tensor.
    private func weight(of task: TaskSpec) -> [JSONValue.Member] {
        guard task.model != nil, plan.spec.method.parameter(MergeParameter.weight.name) != nil else { return [] }
        return [
            .init(MergeParameter.weight.name, number(task.parameters[.weight] ?? plan.spec.parameters[.weight]))
        ]
    }

    /// A setting whose default is 1.
    private func number(_ setting: ParameterSetting?) -> JSONValue {
        switch setting {
        case nil: .of(1)
        case .scalar(let value): .of(value)
        case .gradient, .filtered, .word, .bySlice: .null
        }
    }

    /// Whether weights are divided by their sum; null when that depends on the tensor.
    private var normalize: JSONValue {
        switch plan.spec.parameters[MergeParameter.normalizeName] {
        case nil: .bool(plan.spec.method.averages)
        case .scalar(let value): .bool(value != 0)
        case .gradient, .filtered, .word, .bySlice: .null
        }
    }

    private var regularizer: JSONValue {
        let regularizer = plan.spec.curvature.regularizer
        var members: [JSONValue.Member] = [.init("form", .string(regularizer.form.rawValue))]
        if regularizer.form == .optimal, let rank = regularizer.termCount {
            members.append(.init("rank", .number("\(rank)")))
        }
        if regularizer.form == .pseudoRows {
            let settings = regularizer.jointRows
            members += [
                .init(
                    "ranks",
                    .object([
                        .init("inputs", .number("\(settings.inputRank)")),
                        .init("gradients", .number("\(settings.gradientRank)")),
                    ])),
                .init("floor", .string(settings.floor.text)),
            ]
        }
        members += [
            .init("scale", .string(regularizer.scale.rawValue)),
            .init("balance", .string(regularizer.balance.rawValue)),
            .init("one_dimensional", .string(regularizer.oneDimensional.rawValue)),
            .init("targets", .array(plan.targets.map { .string($0.description) })),
        ]
        return .object(members)
    }

    /// The groups with their strength, and the layers and parameters that each one has.
    private var groups: [JSONValue.Member] {
        let groups = plan.spec.curvature.groups
        guard !groups.isEmpty else { return [] }
        var names = groups.map { _ in [JSONValue]() }
        for block in plan.blocks {
            guard let position = groups.firstIndex(where: { $0.layers.takes(block.name) }) else { continue }
            names[position].append(.string(block.name))
        }
        return [
            .init(
                "groups",
                .array(
                    zip(groups, names).map { group, names in
                        .object([.init("strength", .of(group.strength)), .init("layers", .array(names))])
                    }))
        ]
    }

    /// The numbers of names that the task's `rename` changed.
    private func renamed(_ task: TaskName) -> [JSONValue.Member] {
        guard let renaming = plan.inventory.renamings[task] else { return [] }
        let counts = TaskRenaming.Kind.allCases.map { kind in
            JSONValue.Member(kind.rawValue, .number("\(renaming.count(of: kind))"))
        }
        return [.init("renamed", .object(counts))]
    }

    private var tasks: [JSONValue] {
        plan.spec.tasks.map { task in
            .object(
                [
                    .init("name", .string(task.name.rawValue)),
                    .init("samples", .number("\(plan.inventory.samples(of: task.name))")),
                    .init("curvature_weight", task.hasCurvature ? .of(plan.curvatureWeight(of: task.name)) : .null),
                    .init("has_checkpoint", .bool(task.model != nil)),
                ] + weight(of: task) + renamed(task.name))
        }
    }

    // MARK: - What was found

    private var layers: [JSONValue] {
        get throws {
            let missing = plan.missingCurvature
            return try plan.blocks.map { block in
                var members: [JSONValue.Member] = [
                    .init("name", .string(block.name)),
                    .init("factors", .array(block.factors.map { factorRow(block, $0.side, $0.shape) })),
                ]
                members += uses(of: block)
                if let missing = missing[block.name] {
                    members.append(.init("missing_curvature", .array(missing.map { .string($0.rawValue) })))
                }
                members += balance(of: block)
                // The accumulated factors are only the floor of pseudo-rows.
                if block.factors.count == 2, plan.spec.curvature.regularizer.form != .pseudoRows,
                    let errors = try accumulationErrors(block)
                {
                    members.append(.init("accumulation_error", errors))
                }
                if let errors = optimalErrors(block) { members.append(.init("optimal_error", errors)) }
                return .object(members)
            }
        }
    }

    /// The captured layers that use a weight, and for each task the error of the one product for all of them.
    private func uses(of block: CurvatureBlock) -> [JSONValue.Member] {
        guard !block.uses.isEmpty else { return [] }
        let errors = plan.spec.curvedTasks.compactMap { task -> JSONValue.Member? in
            measurements(block.name, .factor(.input, of: task.name))?[.relativeError]?.first.map {
                .init(task.name.rawValue, .of($0))
            }
        }
        return [
            .init("uses", .array(block.uses.map { .string($0.name) })), .init("uses_error", .object(errors)),
        ]
    }

    /// The scalar of each task that gives B the layer's exact trace; nothing unless the job is balanced.
    private func balance(of block: CurvatureBlock) -> [JSONValue.Member] {
        let scalars = plan.spec.curvedTasks.compactMap { task -> JSONValue.Member? in
            measurements(block.name, .balance(of: task.name))?[.balance]?.first.map {
                .init(task.name.rawValue, .of($0))
            }
        }
        return scalars.isEmpty ? [] : [.init("balance", .object(scalars))]
    }

    private func factorRow(_ block: CurvatureBlock, _ side: FactorSide, _ shape: SymmetricShape) -> JSONValue {
        let traces = plan.spec.curvedTasks.compactMap { task -> JSONValue.Member? in
            let purpose = UnitPurpose.factor(side, of: task.name)
            guard let position = plan.products[block.name, purpose]?.position,
                let traces = measurements(block.name, purpose)?[.trace], traces.indices.contains(position)
            else { return nil }
            return .init(task.name.rawValue, .of(traces[position]))
        }
        var members: [JSONValue.Member] = [
            .init("side", .string(side.rawValue)), .init("dimension", .number("\(shape.dimension)")),
        ]
        if shape.isDiagonal { members.append(.init("diagonal", .bool(true))) }
        members.append(.init("traces", .object(traces)))
        let health = plan.targets.sorted().compactMap { target in
            measurements(block.name, .inverse(side, of: target)).map {
                JSONValue.Member(target.description, healthRow($0))
            }
        }
        if !health.isEmpty { members.append(.init("health", .object(health))) }
        return .object(members)
    }

    private func healthRow(_ measurements: [MeasurementName: [Double]]) -> JSONValue {
        .object(
            measurements.sorted { $0.key.rawValue < $1.key.rawValue }.compactMap { name, values in
                values.first.map { .init(name.rawValue, .of($0)) }
            })
    }

    /// The distance of equation 8 from equation 7 for every target, from inner products of the factors (DESIGN section
    /// 2.2).
    private func accumulationErrors(_ block: CurvatureBlock) throws -> JSONValue? {
        let tasks = plan.curvedTasks(in: block)
        guard let weights = try? RegularizerWeights(tasks.map(plan.curvatureWeight)),
            let inputs = innerProducts(block, .input), let gradients = innerProducts(block, .gradient)
        else { return nil }
        let targets = plan.targets.isEmpty ? [TargetName.all] : plan.targets(of: block)
        return .object(
            try targets.map { target in
                let excluded = tasks.firstIndex { !target.includes($0) }
                let lambdas = try weights.lambdas(excluding: excluded)
                let error = AccumulationError.relative(gradients: gradients, inputs: inputs, lambdas: lambdas)
                return .init(target.description, .of(error))
            })
    }

    /// The same distance for the form `optimal`, as far as the job has it.
    private func optimalErrors(_ block: CurvatureBlock) -> JSONValue? {
        guard let errors = measurements(block.name, .optimalAccumulation)?[.relativeError] else { return nil }
        return .object(zip(plan.targets(of: block), errors).map { .init($0.description, .of($1)) })
    }

    private func innerProducts(_ block: CurvatureBlock, _ side: FactorSide) -> FactorInnerProducts? {
        measurements(block.name, .accumulation(side))?[.innerProducts].flatMap {
            FactorInnerProducts(taskCount: plan.curvedTasks(in: block).count, products: $0)
        }
    }

    /// What the unit that serves a purpose of a block has measured; `nil` without such a unit or its result.
    private func measurements(_ block: String, _ purpose: UnitPurpose) -> [MeasurementName: [Double]]? {
        plan.products[block, purpose].flatMap { result($0.unit) }?.measurements
    }

    /// Ω of each task's own vector under the regularizer that leaves it out, by block.
    ///
    /// Equation 8, the sum over the Kronecker products of the optimal form, equation 7 for the per-task form, or the
    /// joint form's share of a block and its floor.
    private var penalties: JSONValue {
        let tasks = plan.targets.compactMap { target -> JSONValue.Member? in
            guard case .without(let task) = target else { return nil }
            let values = penalties(of: task)
            return values.isEmpty ? nil : .init(task.rawValue, .object(values.map { .init($0, .of($1)) }))
        }
        return tasks.isEmpty ? .null : .object(tasks)
    }

    private func penalties(of task: TaskName) -> [(block: String, value: Double)] {
        guard plan.spec.curvature.regularizer.form != .pseudoRows else {
            return JointPenalties(plan: plan, result: result).values(of: task)
        }
        return plan.blocks.compactMap { block in penalty(of: task, block).map { (block.name, $0) } }
    }

    private func penalty(of task: TaskName, _ block: CurvatureBlock) -> Double? {
        penaltyWithoutStrength(of: task, block).map { $0 * plan.spec.curvature.strength(of: block.name) }
    }

    private func penaltyWithoutStrength(of task: TaskName, _ block: CurvatureBlock) -> Double? {
        if let termCount = plan.spec.curvature.regularizer.termCount {
            let units = (0..<termCount).compactMap { plan.products[block.name, .penalty(of: task, term: $0)]?.unit }
            let penalties = units.compactMap { result($0)?.measurements[.penalties]?.first }
            return units.isEmpty || penalties.count < units.count ? nil : penalties.reduce(0, +)
        }
        guard let vector = plan.spec.mergedTasks.firstIndex(where: { $0.name == task }) else { return nil }
        let others = plan.curvedTasks(in: block).filter { $0 != task }
        guard !others.isEmpty else { return nil }
        let total = others.reduce(0) { $0 + plan.curvatureWeight(of: $1) }
        var sum = 0.0
        for other in others {
            guard let values = measurements(block.name, .interference(with: other))?[.penalties],
                values.indices.contains(vector)
            else { return nil }
            sum += plan.curvatureWeight(of: other) / total * values[vector]
        }
        return sum
    }
}

extension DampingSpec {
    /// The damping rule and its γ, as reports and checkpoints state them.
    var description: JSONValue {
        .object([.init("rule", .string(rule.rawValue)), .init("value", .of(value))])
    }
}

extension JSONValue {
    /// The files that go with a merged checkpoint, and those that do not.
    static func ofCompanions(_ files: CompanionFiles) -> JSONValue {
        func list(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
        return .object([
            .init("copied", list(files.copied)), .init("left_out", list(files.leftOut)),
            .init("not_followed", list(files.notFollowed)),
        ])
    }

    /// A number, or null for a value that JSON cannot hold.
    static func of(_ value: Double) -> JSONValue {
        value.isFinite ? .number("\(value)") : .null
    }
}
