//! The calls of Directory: each hands on to its group, because one file for all would be too long.

use revisit_bootstrap::Reply;
use revisit_proto::identity::v1::{self as pb, directory_server::Directory};
use tonic::{Request, async_trait};

use super::{Served, facts, organisation, service_accounts, tenants, users};

#[async_trait]
impl Directory for Served {
    async fn create_tenant(&self, request: Request<pb::CreateTenantRequest>) -> Reply<pb::CreateTenantResponse> {
        tenants::create_tenant(self, request).await
    }

    async fn get_tenant(&self, request: Request<pb::GetTenantRequest>) -> Reply<pb::Tenant> {
        tenants::get_tenant(self, request).await
    }

    async fn list_tenants(&self, request: Request<pb::ListTenantsRequest>) -> Reply<pb::ListTenantsResponse> {
        tenants::list_tenants(self, request).await
    }

    async fn create_department(&self, request: Request<pb::CreateDepartmentRequest>) -> Reply<pb::Department> {
        organisation::create_department(self, request).await
    }

    async fn get_department(&self, request: Request<pb::GetDepartmentRequest>) -> Reply<pb::Department> {
        organisation::get_department(self, request).await
    }

    async fn list_departments(
        &self,
        request: Request<pb::ListDepartmentsRequest>,
    ) -> Reply<pb::ListDepartmentsResponse> {
        organisation::list_departments(self, request).await
    }

    async fn update_department(&self, request: Request<pb::UpdateDepartmentRequest>) -> Reply<pb::Department> {
        organisation::update_department(self, request).await
    }

    async fn move_department(&self, request: Request<pb::MoveDepartmentRequest>) -> Reply<pb::Department> {
        organisation::move_department(self, request).await
    }

    async fn merge_department(&self, request: Request<pb::MergeDepartmentRequest>) -> Reply<pb::Department> {
        organisation::merge_department(self, request).await
    }

    async fn set_department_disabled(
        &self,
        request: Request<pb::SetDepartmentDisabledRequest>,
    ) -> Reply<pb::Department> {
        organisation::set_department_disabled(self, request).await
    }

    async fn create_position(&self, request: Request<pb::CreatePositionRequest>) -> Reply<pb::Position> {
        organisation::create_position(self, request).await
    }

    async fn get_position(&self, request: Request<pb::GetPositionRequest>) -> Reply<pb::Position> {
        organisation::get_position(self, request).await
    }

    async fn list_positions(&self, request: Request<pb::ListPositionsRequest>) -> Reply<pb::ListPositionsResponse> {
        organisation::list_positions(self, request).await
    }

    async fn update_position(&self, request: Request<pb::UpdatePositionRequest>) -> Reply<pb::Position> {
        organisation::update_position(self, request).await
    }

    async fn delete_position(&self, request: Request<pb::DeletePositionRequest>) -> Reply<pb::DeletePositionResponse> {
        organisation::delete_position(self, request).await
    }

    async fn create_user(&self, request: Request<pb::CreateUserRequest>) -> Reply<pb::CreateUserResponse> {
        users::create_user(self, request).await
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Reply<pb::User> {
        users::get_user(self, request).await
    }

    async fn batch_get_users(&self, request: Request<pb::BatchGetUsersRequest>) -> Reply<pb::BatchGetUsersResponse> {
        users::batch_get_users(self, request).await
    }

    async fn list_users(&self, request: Request<pb::ListUsersRequest>) -> Reply<pb::ListUsersResponse> {
        users::list_users(self, request).await
    }

    async fn update_user(&self, request: Request<pb::UpdateUserRequest>) -> Reply<pb::User> {
        Box::pin(users::update_user(self, request)).await
    }

    async fn suspend_user(&self, request: Request<pb::SuspendUserRequest>) -> Reply<pb::User> {
        users::suspend_user(self, request).await
    }

    async fn reactivate_user(&self, request: Request<pb::ReactivateUserRequest>) -> Reply<pb::User> {
        users::reactivate_user(self, request).await
    }

    async fn create_password_link(
        &self,
        request: Request<pb::CreatePasswordLinkRequest>,
    ) -> Reply<pb::CreatePasswordLinkResponse> {
        users::create_password_link(self, request).await
    }

    async fn get_own_profile(&self, request: Request<pb::GetOwnProfileRequest>) -> Reply<pb::User> {
        users::get_own_profile(self, request).await
    }

    async fn update_own_profile(&self, request: Request<pb::UpdateOwnProfileRequest>) -> Reply<pb::User> {
        Box::pin(users::update_own_profile(self, request)).await
    }

    async fn create_service_account(
        &self,
        request: Request<pb::CreateServiceAccountRequest>,
    ) -> Reply<pb::CreateServiceAccountResponse> {
        service_accounts::create_service_account(self, request).await
    }

    async fn list_service_accounts(
        &self,
        request: Request<pb::ListServiceAccountsRequest>,
    ) -> Reply<pb::ListServiceAccountsResponse> {
        service_accounts::list_service_accounts(self, request).await
    }

    async fn rotate_service_account_secret(
        &self,
        request: Request<pb::RotateServiceAccountSecretRequest>,
    ) -> Reply<pb::RotateServiceAccountSecretResponse> {
        service_accounts::rotate_service_account_secret(self, request).await
    }

    async fn delete_service_account(
        &self,
        request: Request<pb::DeleteServiceAccountRequest>,
    ) -> Reply<pb::DeleteServiceAccountResponse> {
        service_accounts::delete_service_account(self, request).await
    }

    async fn list_user_facts(&self, request: Request<pb::ListUserFactsRequest>) -> Reply<pb::ListUserFactsResponse> {
        facts::list_user_facts(self, request).await
    }

    async fn list_department_facts(
        &self,
        request: Request<pb::ListDepartmentFactsRequest>,
    ) -> Reply<pb::ListDepartmentFactsResponse> {
        facts::list_department_facts(self, request).await
    }
}
