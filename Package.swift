// swift-tools-version: 6.2
// kfacd: Kronecker-factored curvature for task arithmetic, as a service.
//
// Targets stand in the order of their levels: a target imports only what stands above it and only what its
// line names. `make check` proves it, and that the pure modules import no I/O (see Sources/README.md).

import PackageDescription

let swiftSettings: [SwiftSetting] = [
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
    .enableUpcomingFeature("ExistentialAny"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
    .enableUpcomingFeature("MemberImportVisibility"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
    .enableUpcomingFeature("InternalImportsByDefault"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0461-async-function-isolation.md
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// For the modules that wrap foreign memory: every use of a pointer must say `unsafe`.
/// https://github.com/swiftlang/swift-evolution/blob/main/proposals/0458-strict-memory-safety.md
let wrapperSettings = swiftSettings + [.strictMemorySafety()]

let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let serviceLifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

/// The commit that a package is built from, for `kfacd_build_info`.
///
/// A build in a working copy has none: git is not asked, since a manifest is evaluated once and would go on naming an
/// old one.
let commit = Context.environment["KFACD_COMMIT"] ?? "unknown"

/// A module of our own, with our settings.
func module(
    _ name: String, _ dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = swiftSettings,
    exclude: [String] = []
) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

/// The tests of a module, with the doubles of Tests/Support.
func tests(
    _ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [], exclude: [String] = []
) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport"], exclude: exclude, resources: resources,
        swiftSettings: swiftSettings)
}

let package = Package(
    name: "kfacd",
    products: [
        .executable(name: "kfacd", targets: ["kfacd"]),
        .executable(name: "kfacctl", targets: ["kfacctl"]),
        .executable(name: "kfaclab", targets: ["kfaclab"]),
        // For the Benchmarks package, which measures these modules and must not burden this package's graph.
        .library(name: "ControlGroups", targets: ["ControlGroups"]),
        .library(name: "KroneckerFactors", targets: ["KroneckerFactors"]),
        .library(name: "TaskArithmetic", targets: ["TaskArithmetic"]),
        .library(name: "LinearAlgebra", targets: ["LinearAlgebra"]),
        .library(name: "Safetensors", targets: ["Safetensors"]),
        .library(name: "Laboratory", targets: ["Laboratory"]),
        .library(name: "ReferenceModel", targets: ["ReferenceModel"]),
        .library(name: "Scheduling", targets: ["Identifiers", "UnitOperations", "JobPlan", "Scheduling"]),
        // For the Fuzz package, which builds them with coverage counters.
        .library(name: "FuzzEntries", targets: ["FuzzEntries"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Level 0: what is foreign, as it is.
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CLibcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CXXHash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CMicroHTTPD", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CProductKernels"),
        .systemLibrary(name: "CRowKernels"),
        .systemLibrary(name: "CRandomKernels"),
        .systemLibrary(name: "CSystemCalls"),
        .target(name: "CProgramStart"),
        .target(name: "CBuildStamp", cSettings: [.define("KFACD_COMMIT", to: "\"\(commit)\"")]),

        // Level 1: wrappers and names.
        module("ZeroMQ", ["CZeroMQ"], settings: wrapperSettings),
        module("LinearAlgebra", ["COpenBLAS", "CProductKernels"], settings: wrapperSettings),
        module("MicroHTTPD", ["CMicroHTTPD"], settings: wrapperSettings),
        module("NameMatching"),
        module("Hashing", ["CLibcrypto", "CXXHash"], settings: wrapperSettings),
        module("RandomNumbers", ["CRandomKernels", "Hashing"], settings: wrapperSettings),
        module("FileAccess", ["CSystemCalls", "NameMatching", "Hashing", systemPackage], settings: wrapperSettings),
        module("Identifiers"),
        module("JSONText", ["Identifiers", systemPackage]),
        module(
            "Safetensors", ["Identifiers", "FileAccess", "JSONText", "Hashing", systemPackage],
            settings: wrapperSettings),
        module("Telemetry", ["Identifiers", logging]),
        module("Lanes"),
        module("Console", ["CProgramStart", "Identifiers", "FileAccess", systemPackage]),
        module("RowKernels", ["CRowKernels"], settings: wrapperSettings),
        module("PageMarkup"),
        module("StudyReport", ["Identifiers", "PageMarkup"]),
        module("Systemd", settings: wrapperSettings),
        module("ControlGroups", ["CProgramStart", "CSystemCalls", "FileAccess"]),
        module("PrometheusMetrics", ["FileAccess", metrics]),
        module("Supervision", ["PrometheusMetrics"]),
        module(
            "Settings",
            ["FileAccess", "NameMatching", systemPackage, .product(name: "Yams", package: "Yams")]),
        module(
            "StatusServer",
            [
                "Identifiers", "Supervision", "FileAccess", "Telemetry", "MicroHTTPD", "PageMarkup", systemPackage,
                serviceLifecycle,
            ]),

        // Level 2: the curvature, the files.
        module("KroneckerFactors", ["Identifiers", "LinearAlgebra"]),
        module("BlobStore", ["Identifiers", "FileAccess", "Lanes", "Hashing", "Telemetry", systemPackage, logging]),
        module(
            "Publication",
            ["CSystemCalls", "Identifiers", "NameMatching", "FileAccess", "JSONText", systemPackage]),
        module(
            "JobFiles",
            [
                "Identifiers", "NameMatching", "FileAccess", "JSONText", "Safetensors", "LinearAlgebra", "Hashing",
                systemPackage,
            ]),
        module(
            "PushedRuns",
            ["Identifiers", "FileAccess", "JSONText", "Safetensors", "JobFiles", "Hashing", systemPackage]),
        module("Keys", ["Identifiers", "ZeroMQ", "FileAccess", systemPackage]),
        module("ReferenceModel", ["LinearAlgebra", "RowKernels"]),

        // Level 3: the merge, the operations of workers, and the plan, in the terms of the mathematics.
        module("TaskArithmetic", ["KroneckerFactors", "LinearAlgebra", "RandomNumbers"]),
        module("JobReport", ["JSONText", "PageMarkup", "TaskArithmetic"]),
        module(
            "UnitOperations",
            [
                "Identifiers", "LinearAlgebra", "KroneckerFactors", "TaskArithmetic", "RandomNumbers", "Hashing",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Schema"]),
        module(
            "JobPlan",
            [
                "Identifiers", "NameMatching", "LinearAlgebra", "KroneckerFactors", "TaskArithmetic",
                "UnitOperations", "RandomNumbers", "Hashing",
                .product(name: "OrderedCollections", package: "swift-collections"),
                .product(name: "Yams", package: "Yams"),
            ]),
        module(
            "Laboratory",
            [
                "Identifiers", "FileAccess", "JSONText", "Lanes", "LinearAlgebra", "RowKernels", "ReferenceModel",
                "JobFiles",
                "Safetensors", "TaskArithmetic", systemPackage,
            ]),

        // Level 4: the decisions, the bytes of a message.
        module(
            "Scheduling",
            [
                "Identifiers", "UnitOperations", "JobPlan",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        module(
            "WireProtocol",
            [
                "Identifiers", "LinearAlgebra", "UnitOperations", "JobPlan", "Hashing",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Schema", "CLIENT.md"]),
        module(
            "CostEstimate",
            [
                "UnitOperations", "JobPlan", "Identifiers", "LinearAlgebra", "TaskArithmetic",
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        module(
            "RowStreams",
            [
                "Identifiers", "LinearAlgebra", "UnitOperations",
                .product(name: "DequeModule", package: "swift-collections"),
            ]),
        module(
            "Study",
            [
                "Identifiers", "FileAccess", "ControlGroups", "Laboratory", "StudyReport", "ReferenceModel",
                "LinearAlgebra", "Safetensors", "TaskArithmetic", systemPackage,
            ]),

        // Level 5: the check of jobs, sessions over sockets, the durable record.
        module(
            "Admission",
            [
                "Identifiers", "FileAccess", "Lanes", "LinearAlgebra", "Safetensors", "NameMatching",
                "KroneckerFactors",
                "UnitOperations", "JobFiles", "JobPlan", "Publication", "PushedRuns", systemPackage,
            ]),
        module(
            "Messaging",
            [
                "Identifiers", "LinearAlgebra", "UnitOperations", "PrometheusMetrics", "ZeroMQ", "Keys", "WireProtocol",
            ]),
        module(
            "JobJournal",
            [
                "Identifiers", "FileAccess", "JSONText", "UnitOperations", "Scheduling", "Lanes", "Hashing",
                systemPackage,
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),

        // Level 6: what carries the decisions out.
        module(
            "CoordinatorService",
            [
                "Identifiers", "Scheduling", "UnitOperations", "JobPlan", "JobJournal", "Messaging", "WireProtocol",
                "BlobStore", "Admission", "JobFiles", "JSONText", "Safetensors", "LinearAlgebra", "KroneckerFactors",
                "TaskArithmetic", "Telemetry", "Lanes", "Publication", "Supervision", "PrometheusMetrics", "FileAccess",
                "Keys", "PushedRuns", "RowStreams", "ZeroMQ", "JobReport",
                systemPackage, logging, metrics, serviceLifecycle,
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        module(
            "WorkerService",
            [
                "Identifiers", "Hashing", "UnitOperations", "Messaging", "WireProtocol", "BlobStore", "Safetensors",
                "LinearAlgebra",
                "KroneckerFactors", "TaskArithmetic", "Telemetry", "Supervision", "PrometheusMetrics", "Lanes",
                "FileAccess", "Keys", "ZeroMQ", systemPackage, logging, metrics, serviceLifecycle,
            ]),

        // Level 7: the programs.
        .executableTarget(
            name: "kfacd",
            dependencies: [
                "CoordinatorService", "PushedRuns", "WorkerService", "Messaging", "Identifiers", "Telemetry", "ZeroMQ",
                "Systemd",
                "Supervision", "PrometheusMetrics", "ControlGroups", "Settings", "StatusServer", "LinearAlgebra",
                "Console", "FileAccess", "Keys", "CBuildStamp", argumentParser, logging, serviceLifecycle,
                systemPackage,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "kfacctl",
            dependencies: [
                "Identifiers", "UnitOperations", "JobPlan", "Admission", "Messaging", "WireProtocol", "JobFiles",
                "Safetensors", "LinearAlgebra", "KroneckerFactors", "Telemetry", "Console", "ControlGroups", "Keys",
                "ZeroMQ",
                "Publication", "FileAccess", "TaskArithmetic", "NameMatching", "CostEstimate", "Scheduling", "Hashing",
                argumentParser, systemPackage,
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "kfaclab",
            dependencies: [
                "Study", "StudyReport", "Laboratory", "LinearAlgebra", "Safetensors", "Console", "ControlGroups",
                "FileAccess", "Telemetry", argumentParser, systemPackage,
            ],
            swiftSettings: swiftSettings),

        // Tests: one target a module, then the whole with real processes.
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: swiftSettings),
        .target(
            name: "FuzzEntries",
            dependencies: [
                "Identifiers", "Safetensors", "LinearAlgebra", "KroneckerFactors", "UnitOperations", "JobPlan",
                "Scheduling",
                "JSONText", "WireProtocol", "ZeroMQ", "Messaging", "JobJournal", systemPackage,
            ],
            path: "Tests/FuzzEntries", swiftSettings: swiftSettings),
        tests("TidyTests", []),
        tests("DeployTests", ["TaskArithmetic", .product(name: "Yams", package: "Yams")]),
        tests("IdentifiersTests", ["Identifiers"]),
        tests("RandomNumbersTests", ["RandomNumbers"]),
        tests("NameMatchingTests", ["NameMatching"]),
        tests("HashingTests", ["Hashing"]),
        tests("JSONTextTests", ["JSONText", systemPackage]),
        tests("SystemdTests", ["Systemd", "Supervision"]),
        tests("ConsoleTests", ["Console"]),
        tests("ControlGroupsTests", ["ControlGroups", "CProgramStart"]),
        tests("PrometheusMetricsTests", ["PrometheusMetrics", metrics]),
        tests("SupervisionTests", ["Supervision", "PrometheusMetrics"]),
        tests("SettingsTests", ["Settings"]),
        tests("StatusServerTests", ["StatusServer", "MicroHTTPD", "Supervision"]),
        tests("TelemetryTests", ["Telemetry", logging]),
        tests("ZeroMQTests", ["ZeroMQ"]),
        tests("FileAccessTests", ["FileAccess", "Safetensors", systemPackage]),
        tests("KeysTests", ["Keys", "Identifiers", "ZeroMQ", systemPackage]),
        tests(
            "MessagingTests",
            [
                "Messaging", "Keys", "UnitOperations", "JobPlan", "WireProtocol", "Identifiers", "LinearAlgebra",
                "ZeroMQ", systemPackage,
            ]),
        tests(
            "AdmissionTests",
            [
                "Admission", "JobFiles", "JobPlan", "UnitOperations", "Identifiers", "FileAccess", "Safetensors",
                "Publication", systemPackage,
            ]),
        tests(
            "CoordinatorServiceTests",
            [
                "CoordinatorService", "Messaging", "WireProtocol", "Identifiers", "UnitOperations", "JobPlan",
                "LinearAlgebra", "JobJournal", "Scheduling", "Admission", "Safetensors",
                "Supervision", "PrometheusMetrics", "BlobStore", "FileAccess", "ZeroMQ", "Publication", "PushedRuns",
                systemPackage, logging,
            ]),
        tests(
            "PushedRunsTests",
            ["PushedRuns", "FileAccess", "Identifiers", "JobFiles", "Safetensors", systemPackage]),
        tests("PublicationTests", ["Publication", "FileAccess", systemPackage]),
        tests(
            "JobJournalTests",
            [
                "JobJournal", "Scheduling", "UnitOperations", "JobPlan", "Identifiers", "Hashing",
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),
        tests("LinearAlgebraTests", ["LinearAlgebra"]),
        tests("KroneckerFactorsTests", ["KroneckerFactors", "Identifiers", "LinearAlgebra"]),
        tests("TaskArithmeticTests", ["TaskArithmetic", "KroneckerFactors", "LinearAlgebra", "RandomNumbers"]),
        tests("SafetensorsTests", ["Safetensors", "FileAccess", "Hashing", systemPackage]),
        tests("BlobStoreTests", ["BlobStore", "FileAccess", "Identifiers", systemPackage]),
        tests(
            "JobFilesTests",
            ["JobFiles", "FileAccess", "Safetensors", "LinearAlgebra", "Identifiers", "Hashing", systemPackage]),
        tests(
            "UnitOperationsTests",
            [
                "UnitOperations", "Identifiers", "KroneckerFactors", "LinearAlgebra", "TaskArithmetic", "RandomNumbers",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        tests(
            "JobPlanTests",
            [
                "JobPlan", "UnitOperations", "Identifiers", "KroneckerFactors", "LinearAlgebra", "TaskArithmetic",
                "RandomNumbers",
                .product(name: "Yams", package: "Yams"),
            ]),
        tests(
            "SchedulingTests", ["Scheduling", "UnitOperations", "JobPlan", "Identifiers", "LinearAlgebra", "Hashing"],
            exclude: ["Scenarios"]),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Scheduling", "JobJournal", "UnitOperations", "JobPlan", "Identifiers", "Hashing",
                "LinearAlgebra",
                "KroneckerFactors", "TestSupport", .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            path: "Tests/Simulation", exclude: ["README.md"], swiftSettings: swiftSettings),
        tests(
            "WorkerServiceTests",
            [
                "WorkerService", "CoordinatorService", "Admission", "JobPlan", "Publication", "BlobStore", "FileAccess",
                "Hashing",
                "UnitOperations", "Messaging", "WireProtocol", "ZeroMQ", "Safetensors",
                "KroneckerFactors", "LinearAlgebra", "Identifiers", "Supervision", "PrometheusMetrics", logging,
                metrics,
                "TaskArithmetic", serviceLifecycle, systemPackage,
            ]),
        tests(
            "WireProtocolTests",
            [
                "WireProtocol", "UnitOperations", "JobPlan", "Identifiers", "KroneckerFactors", "LinearAlgebra",
                "Hashing", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        tests(
            "CostEstimateTests",
            ["CostEstimate", "JobPlan", "UnitOperations", "Identifiers", "LinearAlgebra", "TaskArithmetic"]),
        tests("RowStreamsTests", ["RowStreams", "Identifiers", "LinearAlgebra", "UnitOperations"]),
        tests("RowKernelsTests", ["RowKernels", "CRowKernels"]),
        tests(
            "ReferenceModelTests", ["ReferenceModel", "LinearAlgebra", "Safetensors", systemPackage],
            exclude: ["Fixtures"]),
        tests(
            "LaboratoryTests",
            [
                "Laboratory", "ReferenceModel", "JobFiles", "UnitOperations", "JobPlan", "KroneckerFactors",
                "TaskArithmetic",
                "Safetensors", "LinearAlgebra", "Identifiers", systemPackage,
            ]),
        tests("PageMarkupTests", ["PageMarkup"]),
        tests(
            "JobReportTests", ["JobReport", "JSONText"],
            exclude: ["look_at_page.py"]),
        tests("StudyReportTests", ["StudyReport", "PageMarkup"]),
        tests(
            "StudyTests",
            [
                "Study", "StudyReport", "Laboratory", "ReferenceModel", "LinearAlgebra", "Safetensors",
                "TaskArithmetic", systemPackage,
            ]),
        tests("FuzzCorpusTests", ["FuzzEntries"]),
        tests(
            "IntegrationTests",
            [
                "kfacd", "kfacctl", "kfaclab", "Identifiers", "LinearAlgebra", "UnitOperations", "WireProtocol",
                "ZeroMQ", "JobReport", "JSONText", systemPackage,
            ],
            exclude: ["Fixtures"]),
    ]
)
