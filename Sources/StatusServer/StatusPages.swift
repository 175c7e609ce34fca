import Hummingbird
import Telemetry

/// The status pages: the answer for each path.
enum StatusPages {
    /// Makes the paths, status codes and bodies; every body ends with a newline.
    static func router(_ source: StatusSource) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("healthz") { _, _ in
            let problems = source.healthProblems()
            return problems.isEmpty
                ? text("ok") : text(problems.joined(separator: "\n"), status: .serviceUnavailable)
        }
        router.get("readyz") { _, _ in
            guard let reason = source.notReady() else { return text("ok") }
            return text(reason, status: .serviceUnavailable)
        }
        router.get("version") { _, _ in
            let fields = source.version.map { "\(JSONText.quoted($0.name)):\(JSONText.quoted($0.value))" }
            return text("{\(fields.joined(separator: ","))}", contentType: "application/json")
        }
        router.get("metrics") { _, _ in
            let (metrics, contentType) = await source.metrics()
            return response(metrics, contentType: contentType)
        }
        router.get("/") { _, _ in
            response(await overview(of: source).html, contentType: "text/html; charset=utf-8")
        }
        return router
    }

    /// The content of the page for people.
    ///
    /// For an unhealthy daemon it is only the problems, because the rest might never answer.
    private static func overview(of source: StatusSource) async -> OverviewPage {
        let problems = source.healthProblems()
        let isWell = problems.isEmpty
        return OverviewPage(
            status: isWell ? await source.status() : "not well", notReady: source.notReady(),
            healthProblems: problems, version: source.version, time: Timestamp.now,
            sections: isWell ? await source.sections() : [])
    }

    private static func text(
        _ body: String, status: HTTPResponse.Status = .ok, contentType: String = "text/plain; charset=utf-8"
    ) -> Response {
        response(body + "\n", status: status, contentType: contentType)
    }

    private static func response(
        _ body: String, status: HTTPResponse.Status = .ok, contentType: String
    ) -> Response {
        Response(
            status: status,
            headers: [
                .contentType: contentType, .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
                .contentSecurityPolicy: OverviewPage.contentPolicy,
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
