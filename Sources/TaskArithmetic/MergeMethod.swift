/// How models become one: what a job file may write, what the computation needs, and the computation itself.
///
/// Each method is a constant in the file of its computation (`Methods/`) and a line of ``all``. Parsing, validation,
/// planning, the report, `kfacctl help merge` and the documents take what they know of a method from here, and nothing
/// else names one. A method without a computation cannot be written down, since its ``scope`` carries it.
public struct MergeMethod: Sendable {
    /// What is added up.
    public enum Terms: Sendable {
        /// Task vectors Δ_t = θ_t − θ_0; the merged model is θ_0 + α Δ.
        case taskVectors
        /// The models θ_t themselves. There need not be a base, and there is no α.
        case models
    }

    /// When the base counts as one of the models.
    public enum BaseRole: Sendable {
        /// Never. Its vector is zero, and its weight is not read.
        case never
        /// When it is listed among the models.
        case whenListed
        /// When it is listed, and also when it is not, if the job's parameters give a weight to every model.
        case whenListedOrWeighted
        /// Always; a job must have one.
        case always
        /// When it is given, whether listed or not.
        case whenGiven
        /// Never. One that is given, whether listed or not, is the origin of the others' vectors.
        case origin
    }

    /// What becomes of weights that sum to zero where they should be divided by their sum.
    public enum CancellingWeights: Sendable {
        /// The job is refused.
        case refused
        /// They are not divided, with a notice, as in mergekit.
        case notDivided
    }

    /// The name in a job file.
    public let name: String
    /// Other names that a job file may use.
    public let aliases: [String]
    /// Where the method was published.
    public let paper: Paper
    /// The merged parameters, in the notation of DESIGN section 2.5.
    public let formula: String
    /// What the method is for, in one or two sentences.
    public let summary: String
    /// The parameters that it takes, in the order in which messages list them.
    public let parameters: [MergeParameter]
    /// What is added up.
    public let terms: Terms
    /// When the base counts.
    public let base: BaseRole
    /// What becomes of weights that cancel.
    public let cancellingWeights: CancellingWeights
    /// How many models it merges; the base is one of them where it counts.
    public let modelCount: ClosedRange<Int>
    /// What is merged at a time, and the computation.
    public let scope: MergeScope
    /// What is measured of the whole model before any part is merged; none for most methods.
    public let statistics: (any (ModelStatistics & ~Copyable).Type)?
    /// What is wrong with a job's values together, each of which is in its range; `nil` for nothing.
    ///
    /// The sentence continues "the merge method …", and ends with what to do.
    public let fault: @Sendable ([MergeRequest]) -> String?
    /// Whether the result depends on which dimension of a matrix are the outputs, in a job with these parameters.
    ///
    /// If not, the merge of transposed matrices is the transposed merge.
    public let dependsOnLayout: @Sendable (MergeArguments) -> Bool

    /// Writes a method down.
    public init(
        name: String, aliases: [String] = [], paper: Paper, formula: String, summary: String,
        parameters: [MergeParameter], terms: Terms = .taskVectors, base: BaseRole = .never,
        cancellingWeights: CancellingWeights = .refused,
        modelCount: ClosedRange<Int> = 1...Int.max, scope: MergeScope,
        statistics: (any (ModelStatistics & ~Copyable).Type)? = nil,
        fault: @escaping @Sendable ([MergeRequest]) -> String? = { _ in nil },
        dependsOnLayout: @escaping @Sendable (MergeArguments) -> Bool = { _ in false }
    ) {
        self.name = name
        self.aliases = aliases
        self.paper = paper
        self.formula = formula
        self.summary = summary
        self.parameters = parameters
        self.terms = terms
        self.base = base
        self.cancellingWeights = cancellingWeights
        self.modelCount = modelCount
        self.scope = scope
        self.statistics = statistics
        self.fault = fault
        self.dependsOnLayout = dependsOnLayout
    }
}

/// A publication.
public struct Paper: Equatable, Sendable {
    /// Authors and year.
    public let citation: String
    /// The number at arxiv.org, where it has one.
    public let arXiv: String?

    /// Names a publication.
    public init(_ citation: String, arXiv: String? = nil) {
        self.citation = citation
        self.arXiv = arXiv
    }
}

// MARK: - The registry

extension MergeMethod {
    /// Every method, in the order of documents and messages.
    public static let all: [MergeMethod] = [
        .taskArithmetic, .linear, .weightedAverage,
        .ties, .dareLinear, .dareTies, .passthrough, .slerp, .della, .dellaLinear, .breadcrumbs, .breadcrumbsTies,
        .modelStock, .nuslerp, .karcher, .multislerp, .nearswap, .sce, .arceeFusion, .ram, .ramPlus,
        .kfac, .regmean, .actmat, .tact, .wudi, .ace, .tsv, .isoC, .isoCTS, .fisher, .kfacExact, .disentangle,
    ]

    /// The method of a name or an alias.
    public init?(named name: String) {
        guard let method = Self.all.first(where: { $0.name == name || $0.aliases.contains(name) }) else { return nil }
        self = method
    }

    /// The parameters of all methods, each name once.
    public static var allParameters: [MergeParameter] {
        var seen: Set<String> = []
        return all.flatMap(\.parameters).filter { seen.insert($0.name).inserted }
    }
}

// MARK: - What follows

extension MergeMethod {
    /// Whether every merged task needs factors: A and B of layers, F of other parameters.
    public var needsFactors: Bool { scope.readsFactors }

    /// Whether a job needs a base.
    public var needsBase: Bool { terms == .taskVectors || base == .always }

    /// What is measured of the whole model in a job with these parameters.
    public func statistics(for arguments: MergeArguments) -> (any (ModelStatistics & ~Copyable).Type)? {
        guard let condition = statistics?.condition else { return statistics }
        return arguments[condition.parameter] == condition.value ? statistics : nil
    }

    /// Whether it draws random numbers.
    public var isRandom: Bool { parameter(MergeParameter.randomSeed.name) != nil }

    /// Whether weights are divided by their sum when the job does not say.
    public var averages: Bool { parameter(MergeParameter.normalizeName)?.defaultValue == .value(.truth(true)) }

    /// What the method takes under a name.
    public func parameter(_ name: String) -> MergeParameter? { parameters.first { $0.name == name } }

    /// The parameters that only its computation knows: all but those that every method shares.
    public var ownParameters: [MergeParameter] {
        let shared = [MergeParameter.weight.name, MergeParameter.lambda.name, MergeParameter.normalizeName]
        return parameters.filter { !shared.contains($0.name) }
    }
}

/// What a job asks of a method for one tensor: the values that ``MergeMethod/fault`` checks.
public struct MergeRequest: Equatable, Sendable {
    /// A model of weight other than 0.
    public struct Model: Equatable, Sendable {
        /// Its name in the job.
        public let name: String
        /// Its position in the job + 1.
        public let place: Int
        /// w_t.
        public let weight: Double
        /// Its own parameters.
        public let arguments: MergeArguments

        /// Describes a model.
        public init(name: String, place: Int, weight: Double, arguments: MergeArguments) {
            self.name = name
            self.place = place
            self.weight = weight
            self.arguments = arguments
        }
    }

    /// The tensor's name.
    public let tensor: String
    /// The models.
    public let models: [Model]
    /// Whether the method divides by the weights.
    public let divides: Bool
    /// The job's own parameters.
    public let arguments: MergeArguments

    /// Describes a request.
    public init(tensor: String, models: [Model], divides: Bool, arguments: MergeArguments) {
        self.tensor = tensor
        self.models = models
        self.divides = divides
        self.arguments = arguments
    }
}

extension MergeMethod: Equatable {
    /// Names are unique.
    public static func == (left: MergeMethod, right: MergeMethod) -> Bool { left.name == right.name }
}
